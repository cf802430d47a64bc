//! Randomness, so that a seed replays a run.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// A source of randomness that is *not* for secrets. Clones of a seeded source share its sequence.
#[derive(Clone, Default)]
pub struct Rng(Option<Arc<Mutex<fastrand::Rng>>>);

impl Rng {
    /// A source seeded by the machine, one per thread.
    pub const fn system() -> Self {
        Self(None)
    }

    /// A source that yields the same sequence for the same seed.
    pub fn seeded(seed: u64) -> Self {
        Self(Some(Arc::new(Mutex::new(fastrand::Rng::with_seed(seed)))))
    }

    /// An even draw from `0..bound`; 0 if `bound` is 0.
    pub fn below(&self, bound: usize) -> usize {
        if bound == 0 {
            0
        } else {
            self.draw(|rng| rng.usize(..bound))
        }
    }

    /// An even draw from `[0, 1)`.
    pub fn fraction(&self) -> f64 {
        self.draw(fastrand::Rng::f64)
    }

    /// 64 random bits.
    pub fn bits(&self) -> u64 {
        self.draw(|rng| rng.u64(..))
    }

    fn draw<T>(&self, draw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        match &self.0 {
            Some(seeded) => draw(&mut seeded.lock().unwrap_or_else(PoisonError::into_inner)),
            None => {
                let mut rng = fastrand::Rng::new();
                draw(&mut rng)
            }
        }
    }
}

impl fmt::Debug for Rng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "Rng(seeded)"
        } else {
            "Rng(system)"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_replays_the_sequence() {
        let draw = || {
            let rng = Rng::seeded(42);
            (rng.bits(), rng.below(10), rng.fraction().to_bits())
        };
        assert_eq!(draw(), draw());
        assert_eq!(Rng::system().below(0), 0);
    }
}
