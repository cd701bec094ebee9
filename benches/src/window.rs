//! Interleaved windows: each contender works for a short while in turn, many times over. What else the machine does meets all
//! alike, so the ratios of one round hold where the figures do not; the median round counts.

use std::sync::Barrier;
use std::time::{Duration, Instant};

/// One contender's work, one thread's share.
pub type Work = Box<dyn FnMut() + Send>;

/// How a row is measured.
#[derive(Clone, Copy)]
pub struct Plan {
    /// Rounds: windows of each contender.
    pub rounds: usize,
    /// The length of a window; a single act that is longer is a window by itself.
    pub window: Duration,
    /// Acts differ by luck (the search for primes), so all of them count together instead of the median.
    pub luck: bool,
}

/// Operations a second of each contender, window by window.
pub struct Rates(Vec<Vec<f64>>, bool);

impl Rates {
    /// A contender's figure.
    pub fn of(&self, contender: usize) -> f64 {
        if self.1 {
            // Each window is one act or a few: the mean time is what is compared.
            let rates = &self.0[contender];
            return rates.len() as f64 / rates.iter().map(|r| 1.0 / r).sum::<f64>();
        }
        median(self.0[contender].clone())
    }

    /// One contender's rate by another's: the median of the rounds' ratios.
    pub fn ratio(&self, a: usize, b: usize) -> f64 {
        if self.1 {
            return self.of(a) / self.of(b);
        }
        median(
            self.0[a]
                .iter()
                .zip(&self.0[b])
                .map(|(a, b)| a / b)
                .collect(),
        )
    }
}

/// Measures contenders, each of which has one piece of work for every thread.
pub fn interleaved(contenders: &mut [Vec<Work>], plan: Plan) -> Rates {
    let mut rates = vec![Vec::with_capacity(plan.rounds); contenders.len()];
    let batches: Vec<u32> = contenders.iter_mut().map(|c| batch(&mut c[0])).collect();
    for _ in 0..plan.rounds {
        for ((contender, rates), batch) in contenders.iter_mut().zip(&mut rates).zip(&batches) {
            rates.push(all(contender, plan.window, *batch));
        }
    }
    Rates(rates, plan.luck)
}

/// As many acts as take about 50 microseconds, so that the clock is not what is measured.
fn batch(work: &mut Work) -> u32 {
    let mut size = 1;
    loop {
        let began = Instant::now();
        (0..size).for_each(|_| work());
        if began.elapsed() >= Duration::from_micros(50) || size >= 1024 {
            return size;
        }
        size *= 2;
    }
}

fn all(contender: &mut [Work], window: Duration, batch: u32) -> f64 {
    if let [one] = contender {
        return run(one, window, batch);
    }
    let start = Barrier::new(contender.len());
    std::thread::scope(|scope| {
        let threads: Vec<_> = contender
            .iter_mut()
            .map(|work| {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    run(work, window, batch)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|t| t.join().expect("a window does not panic"))
            .sum()
    })
}

fn run(work: &mut Work, window: Duration, batch: u32) -> f64 {
    let (began, mut done) = (Instant::now(), 0_u32);
    loop {
        (0..batch).for_each(|_| work());
        done += batch;
        let passed = began.elapsed();
        if passed >= window {
            return f64::from(done) / passed.as_secs_f64();
        }
    }
}

/// The middle one.
pub fn median(mut rates: Vec<f64>) -> f64 {
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
        let sleeper = |us| Box::new(move || std::thread::sleep(Duration::from_micros(us))) as Work;
        let mut contenders = vec![
            vec![sleeper(200)],
            vec![sleeper(4000)],
            vec![sleeper(200), sleeper(200)],
        ];
        let plan = Plan {
            rounds: 3,
            window: Duration::from_millis(20),
            luck: false,
        };
        let rates = interleaved(&mut contenders, plan);
        assert!(rates.ratio(0, 1) > 2.0);
        assert!(rates.ratio(2, 0) > 1.5);
    }
}
