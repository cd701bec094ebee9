//! The shell's loop: where lines come from (a terminal, a script on standard input, `-c`), the words
//! of a line, and the question that takes the next line as its answer. What the words do is in
//! [`super::commands`].

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IsTerminal, Write};

use zeroize::Zeroizing;

use super::commands::Session;
use super::wiped::Lines;

/// How a line ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did what it says.
    Done,
    /// It was refused or failed; what it printed says why.
    Failed,
    /// The user wants to leave.
    Quit,
}

/// Where lines and answers come from. Any of them may be a password or hold one, and is wiped after use.
pub trait Input {
    /// The next line without its end, or `None` at the end.
    fn line(&mut self, prompt: &str) -> io::Result<Option<Zeroizing<String>>>;
    /// The answer to a question; the shell has printed the question.
    fn answer(&mut self) -> io::Result<Zeroizing<String>>;
    /// A password that must not be shown.
    fn password(&mut self, prompt: &str) -> io::Result<Zeroizing<String>>;
}

/// A terminal, or a script on standard input.
pub struct Stdin {
    lines: Lines<File>,
    terminal: bool,
    assume_yes: bool,
}

impl Stdin {
    /// Standard input as it is.
    ///
    /// # Errors
    /// If its file descriptor cannot be copied.
    pub fn new(assume_yes: bool) -> io::Result<Self> {
        Ok(Stdin {
            lines: Lines::stdin()?,
            terminal: io::stdin().is_terminal(),
            assume_yes,
        })
    }
}

impl Input for Stdin {
    fn line(&mut self, prompt: &str) -> io::Result<Option<Zeroizing<String>>> {
        if self.terminal {
            print!("{prompt}");
            io::stdout().flush()?;
        }
        self.lines.next()
    }

    fn answer(&mut self) -> io::Result<Zeroizing<String>> {
        if self.assume_yes {
            println!("y");
            return Ok(Zeroizing::new("y".into()));
        }
        Ok(self.lines.next()?.unwrap_or_default())
    }

    fn password(&mut self, prompt: &str) -> io::Result<Zeroizing<String>> {
        if self.terminal {
            rpassword::prompt_password(prompt).map(Zeroizing::new)
        } else {
            Ok(self.lines.next()?.unwrap_or_default())
        }
    }
}

/// The commands of `-c`, one a line or separated by `;`; a line that answers a question follows its command.
pub struct Script {
    lines: VecDeque<Zeroizing<String>>,
    assume_yes: bool,
}

impl Script {
    /// The lines of a `-c` argument.
    pub fn new(text: &str, assume_yes: bool) -> Self {
        let lines = text
            .split(['\n', ';'])
            .map(|l| Zeroizing::new(l.trim().to_owned()))
            .filter(|l| !l.is_empty())
            .collect();
        Script { lines, assume_yes }
    }
}

impl Input for Script {
    fn line(&mut self, _prompt: &str) -> io::Result<Option<Zeroizing<String>>> {
        Ok(self.lines.pop_front())
    }

    fn answer(&mut self) -> io::Result<Zeroizing<String>> {
        if self.assume_yes {
            println!("y");
            return Ok(Zeroizing::new("y".into()));
        }
        Ok(self.lines.pop_front().unwrap_or_default())
    }

    fn password(&mut self, _prompt: &str) -> io::Result<Zeroizing<String>> {
        Ok(self.lines.pop_front().unwrap_or_default())
    }
}

/// Runs lines until their end or `quit`; true if every command succeeded.
pub fn run(session: &mut Session, input: &mut dyn Input) -> io::Result<bool> {
    let mut all_well = true;
    while let Some(line) = input.line(&session.prompt())? {
        let words = words(&line);
        if words.is_empty() || words[0].starts_with('#') {
            continue;
        }
        match session.run(&words, input)? {
            Outcome::Done => {}
            Outcome::Failed => all_well = false,
            Outcome::Quit => break,
        }
    }
    Ok(all_well)
}

/// A line's words; double or single quotes hold spaces together. They are wiped when they are dropped, and none
/// grows, which would leave a piece of it behind.
pub fn words(line: &str) -> Zeroizing<Vec<String>> {
    let room = || String::with_capacity(line.len());
    let mut words = Zeroizing::new(Vec::new());
    let (mut word, mut quote, mut open) = (Zeroizing::new(room()), None, false);
    for c in line.chars() {
        match quote {
            Some(q) if c == q => quote = None,
            Some(_) => word.push(c),
            None if c == '"' || c == '\'' => (quote, open) = (Some(c), true),
            None if c.is_whitespace() => {
                if open || !word.is_empty() {
                    words.push(std::mem::replace(&mut *word, room()));
                }
                open = false;
            }
            None => word.push(c),
        }
    }
    if open || !word.is_empty() {
        words.push(std::mem::take(&mut *word));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_words_together() {
        assert_eq!(
            *words("createUser CU  kmsuser kmsPswd"),
            ["createUser", "CU", "kmsuser", "kmsPswd"]
        );
        assert_eq!(*words("a \"b c\" '' d'e f'"), ["a", "b c", "", "de f"]);
        assert!(words("   ").is_empty());
    }

    #[test]
    fn a_scripts_lines_answer_questions_in_order() {
        let mut script = Script::new("createUser CU a b; y\n quit", false);
        let mut line = |wanted: Option<&str>| {
            let line = script.line("").unwrap();
            assert_eq!(line.as_deref().map(String::as_str), wanted);
            script.answer().unwrap()
        };
        assert_eq!(*line(Some("createUser CU a b")), "y");
        assert!(line(Some("quit")).is_empty());
        line(None);
    }

    /// The lint is the compiler's: what is not wiped when it is dropped is none of this trait.
    #[test]
    fn what_may_hold_a_password_is_wiped() {
        fn wiped(_: &impl zeroize::ZeroizeOnDrop) {}
        let mut script = Script::new("login a b\nsecret\nsecret", false);
        wiped(&script.line("").unwrap().unwrap());
        wiped(&script.answer().unwrap());
        wiped(&script.password("").unwrap());
        let line = "cluster activate --password 'a long password'";
        let words = words(line);
        wiped(&words);
        assert_eq!(words[3], "a long password");
        assert!(
            words.iter().all(|word| word.capacity() >= line.len()),
            "none has grown"
        );
    }
}
