//! How the demo tells its story: one line a step, plain words first, then its time and the call behind it.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Where steps are told.
pub struct Teller {
    terminal: bool,
    number: u32,
    began: Instant,
}

impl Teller {
    /// A story that begins now.
    pub fn new() -> Self {
        Teller {
            terminal: io::stdout().is_terminal(),
            number: 0,
            began: Instant::now(),
        }
    }

    /// A heading between groups of steps.
    pub fn chapter(&self, title: &str) {
        if self.terminal {
            println!("\n\x1b[1m{title}\x1b[0m")
        } else {
            println!("\n{title}")
        }
    }

    /// Does one step and tells it: what it achieved, how long it took, which call did it. `act` may
    /// answer with words that replace the plain ones, where the outcome is worth showing.
    pub fn step<T>(
        &mut self,
        plain: &str,
        call: &str,
        act: impl FnOnce(&Progress) -> Result<(T, Option<String>), String>,
    ) -> Result<T, String> {
        self.number += 1;
        let began = Instant::now();
        let progress = Progress {
            terminal: self.terminal,
            plain: format!("{:>2}. {plain}", self.number),
            began,
        };
        progress.show();
        let outcome = crate::interrupt::check().and_then(|()| act(&progress));
        progress.clear();
        match outcome {
            Ok((value, words)) => {
                let words = words.as_deref().unwrap_or(plain);
                println!(
                    "{:>2}. {words}  [{}]  {}",
                    self.number,
                    time(began.elapsed()),
                    self.faint(call)
                );
                Ok(value)
            }
            Err(why) => Err(format!(
                "step {} ({plain}) failed: {why}\n    the call: {call}",
                self.number
            )),
        }
    }

    /// A line that belongs to the step before.
    pub fn detail(&self, text: &str) {
        println!("      {text}");
    }

    /// How many steps, and how long in all.
    pub fn end(&self) -> String {
        format!("{} steps in {}", self.number, time(self.began.elapsed()))
    }

    fn faint(&self, text: &str) -> String {
        if self.terminal {
            format!("\x1b[2m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// A step under way: on a terminal its line shows how long it has taken so far.
pub struct Progress {
    terminal: bool,
    plain: String,
    began: Instant,
}

impl Progress {
    /// Shows the step as under way; long steps call it again and again.
    pub fn show(&self) {
        if self.terminal {
            let mark = ["|", "/", "-", "\\"][(self.began.elapsed().as_millis() / 120 % 4) as usize];
            print!(
                "\r\x1b[K{} {mark} {}",
                self.plain,
                time(self.began.elapsed())
            );
            let _ = io::stdout().flush();
        }
    }

    fn clear(&self) {
        if self.terminal {
            print!("\r\x1b[K");
        }
    }
}

fn time(took: Duration) -> String {
    if took.as_secs() >= 1 {
        format!("{:.2} s", took.as_secs_f64())
    } else {
        format!("{} ms", took.as_millis())
    }
}
