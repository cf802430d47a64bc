//! Weights as an order: who comes when, so that choosing is a look into a list.

/// The places of `n` endpoints in one round. An endpoint of weight 3 stands in it three times as
/// often as one of weight 1, spread evenly (nginx's smooth weighted round robin).
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Schedule(Vec<usize>);

impl Schedule {
    /// The longest round that weights may stretch to.
    const LONGEST: i64 = 1_024;

    /// A round of the endpoints with these weights, in their order.
    pub(crate) fn new(weights: &[u16]) -> Self {
        let shares = shares(weights);
        let round: i64 = shares.iter().sum();
        if shares.iter().all(|share| *share == 1) {
            return Self((0..weights.len()).collect());
        }
        let mut credit = vec![0_i64; shares.len()];
        let mut order = Vec::new();
        for _ in 0..round {
            for (credit, share) in credit.iter_mut().zip(&shares) {
                *credit += share;
            }
            let richest = (0..credit.len()).rev().max_by_key(|&at| credit[at]);
            if let Some(at) = richest {
                credit[at] -= round;
                order.push(at);
            }
        }
        Self(order)
    }

    /// The endpoint at `place`, counted over and over.
    pub(crate) fn at(&self, place: usize) -> Option<usize> {
        self.0.get(place.checked_rem(self.0.len())?).copied()
    }

    /// The length of the round.
    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    /// The round from its first place.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().copied()
    }
}

/// The weights as small whole numbers: without their common divisor, and scaled down to fit a round.
fn shares(weights: &[u16]) -> Vec<i64> {
    let weights = weights.iter().map(|&weight| i64::from(weight.max(1)));
    let divisor = weights.clone().fold(0, common_divisor).max(1);
    let shares: Vec<i64> = weights.map(|weight| weight / divisor).collect();
    let sum: i64 = shares.iter().sum();
    if sum <= Schedule::LONGEST {
        return shares;
    }
    let scale = |share: i64| (share * Schedule::LONGEST / sum).max(1);
    shares.into_iter().map(scale).collect()
}

const fn common_divisor(mut a: i64, mut b: i64) -> i64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(weights: &[u16], round: &[usize]) {
        assert_eq!(Schedule::new(weights).0, round, "{weights:?}");
    }

    #[test]
    fn equal_weights_take_turns() {
        check(&[], &[]);
        check(&[1, 1, 1], &[0, 1, 2]);
        check(&[100, 100], &[0, 1]);
    }

    #[test]
    fn weights_are_spread_over_the_round() {
        check(&[5, 1, 1], &[0, 0, 1, 0, 2, 0, 0]);
        check(&[20, 10], &[0, 1, 0]);
        check(&[0, 1], &[0, 1]);
    }

    #[test]
    fn extreme_weights_keep_the_round_short_and_everybody_in_it() {
        let schedule = Schedule::new(&[65_535, 1, 1]);
        assert!(schedule.len() <= 1_026, "{}", schedule.len());
        assert!((0..3).all(|endpoint| schedule.iter().any(|at| at == endpoint)));
        assert_eq!(Schedule::new(&[]).at(7), None);
    }
}
