//! Interleaved windows: each module works for a short while in turn, many times over, and the median window counts.

use std::time::{Duration, Instant};

/// Operations a second of each contender: the median of `rounds` windows of length `window`, taken in turn.
pub fn interleaved(
    contenders: &mut [Box<dyn FnMut() + '_>],
    rounds: usize,
    window: Duration,
) -> Vec<f64> {
    let mut rates = vec![Vec::with_capacity(rounds); contenders.len()];
    for contender in contenders.iter_mut() {
        run(contender, window / 4);
    }
    for _ in 0..rounds {
        for (contender, rates) in contenders.iter_mut().zip(&mut rates) {
            rates.push(run(contender, window));
        }
    }
    rates.into_iter().map(median).collect()
}

fn run(contender: &mut dyn FnMut(), window: Duration) -> f64 {
    let (began, mut done) = (Instant::now(), 0_u32);
    loop {
        contender();
        done += 1;
        let passed = began.elapsed();
        if passed >= window {
            return f64::from(done) / passed.as_secs_f64();
        }
    }
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_ignores_one_slow_window() {
        assert_eq!(median(vec![10.0, 1.0, 11.0]), 10.0);
    }

    #[test]
    fn a_slower_contender_has_the_lower_rate() {
        let mut contenders: Vec<Box<dyn FnMut()>> = vec![
            Box::new(|| std::thread::sleep(Duration::from_micros(200))),
            Box::new(|| std::thread::sleep(Duration::from_millis(4))),
        ];
        let rates = interleaved(&mut contenders, 3, Duration::from_millis(20));
        assert!(rates[0] > rates[1]);
    }
}
