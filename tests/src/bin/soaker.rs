//! `soaker MODULE PIN JOURNAL THREADS SECONDS`: one process of the soak. Each thread makes, uses and destroys keys on the
//! token, and writes what it is about to do and what was acknowledged into a journal of its own, `JOURNAL-n`. Whatever
//! the specification does not foresee goes there too, as a line that begins with `fault`.
#![forbid(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::time::{Duration, Instant};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;

/// More keys than this and a thread destroys its oldest.
const KEPT: usize = 5;

struct Thread {
    session: Session,
    journal: File,
    name: String,
    number: usize,
    mine: Vec<(String, ObjectHandle)>,
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [module, pin, journal, threads, seconds] = &args[..] else {
        panic!("usage: soaker MODULE PIN JOURNAL THREADS SECONDS");
    };
    let number = |text: &String| text.parse::<u64>().expect("a number");
    let end = Instant::now() + Duration::from_secs(number(seconds));
    let module = Pkcs11::new(module).expect("the module loads");
    let started = module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
    started.expect("C_Initialize");
    let slot = module.get_slots_with_initialized_token().expect("slots")[0];
    // While this session lives, nobody is logged out.
    let first = module.open_rw_session(slot).expect("C_OpenSession");
    let pin = AuthPin::new(pin.as_str().into());
    first.login(UserType::User, Some(&pin)).expect("C_Login");
    std::thread::scope(|scope| {
        for n in 0..number(threads) {
            let (module, path) = (&module, format!("{journal}-{n}"));
            scope.spawn(move || Thread::new(module, slot, &path).run(module, slot, end));
        }
    });
    drop(first);
    module.finalize().expect("C_Finalize");
}

impl Thread {
    fn new(module: &Pkcs11, slot: Slot, path: &str) -> Thread {
        let journal = OpenOptions::new().create_new(true).append(true).open(path);
        let name = path.rsplit('/').next().expect("a path has a name");
        Thread {
            session: module.open_rw_session(slot).expect("C_OpenSession"),
            journal: journal.expect("a journal of one's own"),
            name: name.to_owned(),
            number: 0,
            mine: Vec::new(),
        }
    }

    fn run(mut self, module: &Pkcs11, slot: Slot, end: Instant) {
        while Instant::now() < end {
            if let Err((what, error)) = self.round() {
                self.say(&format!("fault {what}: {error:?}"));
                return;
            }
            if self.number.is_multiple_of(7) {
                self.session = module.open_rw_session(slot).expect("C_OpenSession");
            }
        }
    }

    /// One line is one write: it is there whole, or not at all, whenever this process is killed.
    fn say(&mut self, line: &str) {
        let line = format!("{line}\n");
        self.journal.write_all(line.as_bytes()).expect("written");
    }

    fn round(&mut self) -> Result<(), (&'static str, Error)> {
        let label = format!("{}-{}", self.name, self.number);
        self.number += 1;
        self.say(&format!("making {label}"));
        let template = [
            Attribute::Token(true),
            Attribute::Label(label.clone().into_bytes()),
            Attribute::ValueLen(32.into()),
            Attribute::Encrypt(true),
            Attribute::Decrypt(true),
        ];
        let key = self.session.generate_key(&Mechanism::AesKeyGen, &template);
        let key = key.map_err(|e| ("C_GenerateKey", e))?;
        self.say(&format!("made {label}"));
        self.mine.push((label.clone(), key));
        self.works(key).map_err(|e| ("use of an own key", e))?;
        let seen = self.labelled(&label)?;
        if seen != [key] {
            self.say(&format!(
                "fault {label} was made as {key:?} and found as {seen:?}"
            ));
        }
        self.strangers()?;
        if self.mine.len() > KEPT {
            let (label, key) = self.mine.remove(self.number * 31 % KEPT);
            self.works(key).map_err(|e| ("last use of an own key", e))?;
            self.say(&format!("destroying {label}"));
            let destroyed = self.session.destroy_object(key);
            destroyed.map_err(|e| ("C_DestroyObject", e))?;
            self.say(&format!("destroyed {label}"));
            let seen = self.labelled(&label)?;
            if !seen.is_empty() || self.works(key).is_ok() {
                self.say(&format!(
                    "fault {label} was destroyed and is there: {seen:?}"
                ));
            }
        }
        Ok(())
    }

    fn labelled(&self, label: &str) -> Result<Vec<ObjectHandle>, (&'static str, Error)> {
        let template = [Attribute::Label(label.as_bytes().to_vec())];
        let found = self.session.find_objects(&template);
        found.map_err(|e| ("C_FindObjects", e))
    }

    fn works(&self, key: ObjectHandle) -> Result<(), Error> {
        let mech = Mechanism::AesCbc([7; 16]);
        let data = *b"thirty-two bytes, two blocks....";
        let sealed = self.session.encrypt(&mech, key, &data)?;
        let opened = self.session.decrypt(&mech, key, &sealed)?;
        assert_eq!(opened, data, "what was encrypted is decrypted");
        Ok(())
    }

    /// Keys of other threads and processes, which may vanish at any moment.
    fn strangers(&self) -> Result<(), (&'static str, Error)> {
        let all = self
            .session
            .find_objects(&[Attribute::Class(ObjectClass::SECRET_KEY)]);
        let all = all.map_err(|e| ("C_FindObjects of all", e))?;
        for nth in 0..2 {
            let key = all[(self.number * 17 + nth * 5) % all.len()];
            match self.works(key) {
                Ok(())
                | Err(Error::Pkcs11(RvError::KeyHandleInvalid | RvError::ObjectHandleInvalid, _)) =>
                    {}
                Err(e) => return Err(("use of another's key", e)),
            }
        }
        Ok(())
    }
}
