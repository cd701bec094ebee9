//! The shell's loop: where lines come from (a terminal, a script on standard input, `-c`), the words
//! of a line, and the question that takes the next line as its answer. What the words do is in
//! [`super::commands`].

use std::collections::VecDeque;
use std::io::{self, BufRead, IsTerminal, Write};

use super::commands::Session;

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

/// Where lines and answers come from.
pub trait Input {
    /// The next line without its end, or `None` at the end.
    fn line(&mut self, prompt: &str) -> io::Result<Option<String>>;
    /// The answer to a question; the shell has printed the question.
    fn answer(&mut self) -> io::Result<String>;
    /// A password that must not be shown.
    fn password(&mut self, prompt: &str) -> io::Result<String>;
}

/// A terminal, or a script on standard input.
pub struct Stdin {
    terminal: bool,
    assume_yes: bool,
}

impl Stdin {
    /// Standard input as it is.
    pub fn new(assume_yes: bool) -> Self {
        Stdin {
            terminal: io::stdin().is_terminal(),
            assume_yes,
        }
    }

    fn read(&mut self) -> io::Result<Option<String>> {
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line)?;
        Ok((read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned()))
    }
}

impl Input for Stdin {
    fn line(&mut self, prompt: &str) -> io::Result<Option<String>> {
        if self.terminal {
            print!("{prompt}");
            io::stdout().flush()?;
        }
        self.read()
    }

    fn answer(&mut self) -> io::Result<String> {
        if self.assume_yes {
            println!("y");
            return Ok("y".into());
        }
        Ok(self.read()?.unwrap_or_default())
    }

    fn password(&mut self, prompt: &str) -> io::Result<String> {
        if self.terminal {
            rpassword::prompt_password(prompt)
        } else {
            Ok(self.read()?.unwrap_or_default())
        }
    }
}

/// The commands of `-c`, one a line or separated by `;`; a line that answers a question follows its command.
pub struct Script {
    lines: VecDeque<String>,
    assume_yes: bool,
}

impl Script {
    /// The lines of a `-c` argument.
    pub fn new(text: &str, assume_yes: bool) -> Self {
        let lines = text
            .split(['\n', ';'])
            .map(|l| l.trim().to_owned())
            .filter(|l| !l.is_empty())
            .collect();
        Script { lines, assume_yes }
    }
}

impl Input for Script {
    fn line(&mut self, _prompt: &str) -> io::Result<Option<String>> {
        Ok(self.lines.pop_front())
    }

    fn answer(&mut self) -> io::Result<String> {
        if self.assume_yes {
            println!("y");
            return Ok("y".into());
        }
        Ok(self.lines.pop_front().unwrap_or_default())
    }

    fn password(&mut self, _prompt: &str) -> io::Result<String> {
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

/// A line's words; double or single quotes hold spaces together.
pub fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut open) = (Vec::new(), String::new(), None, false);
    for c in line.chars() {
        match quote {
            Some(q) if c == q => quote = None,
            Some(_) => word.push(c),
            None if c == '"' || c == '\'' => (quote, open) = (Some(c), true),
            None if c.is_whitespace() => {
                if open || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                open = false;
            }
            None => word.push(c),
        }
    }
    if open || !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_words_together() {
        assert_eq!(
            words("createUser CU  kmsuser kmsPswd"),
            ["createUser", "CU", "kmsuser", "kmsPswd"]
        );
        assert_eq!(words("a \"b c\" '' d'e f'"), ["a", "b c", "", "de f"]);
        assert!(words("   ").is_empty());
    }

    #[test]
    fn a_scripts_lines_answer_questions_in_order() {
        let mut script = Script::new("createUser CU a b; y\n quit", false);
        assert_eq!(
            script.line("").unwrap().as_deref(),
            Some("createUser CU a b")
        );
        assert_eq!(script.answer().unwrap(), "y");
        assert_eq!(script.line("").unwrap().as_deref(), Some("quit"));
        assert_eq!(script.line("").unwrap(), None);
    }
}
