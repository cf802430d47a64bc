//! Virtual time for tests: what waits here waits on a clock that the test's runtime has paused.
//!
//! A plain `sleep` in a test is virtual or real depending on an attribute some lines above it; these
//! refuse to be real, so that no test can begin to take the time that it speaks of.

use std::time::Duration;

/// Lets `duration` pass: the paused clock jumps from timer to timer, and whoever waits for one of
/// them runs in between.
///
/// # Panics
/// If the clock is not paused, as by `#[tokio::test(start_paused = true)]`.
pub async fn pass(duration: Duration) {
    // Tokio tells only so whether its clock stands still.
    tokio::time::advance(Duration::ZERO).await;
    tokio::time::sleep(duration).await;
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    #[tokio::test(start_paused = true)]
    async fn timers_on_the_way_fire_in_their_order() {
        let (first, both) = tokio::join!(
            async {
                pass(HOUR).await;
                Instant::now()
            },
            async {
                pass(HOUR / 4).await;
                let first = Instant::now();
                pass(HOUR / 4).await;
                (first, Instant::now())
            },
        );
        assert_eq!((both.1 - both.0, first - both.1), (HOUR / 4, HOUR / 2));
    }

    #[tokio::test]
    #[should_panic(expected = "frozen")]
    async fn a_clock_that_runs_is_refused() {
        pass(Duration::ZERO).await;
    }
}
