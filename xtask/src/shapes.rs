//! Service models to Rust tables in the vocabulary of `aws_json::shape`.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

type Result<T> = std::result::Result<T, String>;

/// The services, as botocore names their directories.
const SERVICES: [&str; 2] = ["kms", "cloudhsmv2"];

/// Writes the tables of all services from the models under `data`.
pub fn write(data: &Path) -> Result<()> {
    let out = Path::new(env!("CARGO_MANIFEST_DIR")).join("../aws-json/src/shapes");
    for service in SERVICES {
        let model = read(&newest(&data.join(service))?)?;
        let path = out.join(format!("{service}.rs"));
        let code = model.code().map_err(|e| format!("{service}: {e}"))?;
        std::fs::write(&path, code).map_err(|e| format!("{}: {e}", path.display()))?;
        run(Command::new("rustfmt")
            .args(["--edition", "2024"])
            .arg(&path))?;
        run(Command::new("rustfmt")
            .args(["--edition", "2024"])
            .arg(&path))?;
        println!("{service}: {} operations", model.operations.len());
    }
    Ok(())
}

/// The newest version's model in a service's directory.
fn newest(service: &Path) -> Result<PathBuf> {
    let entries = std::fs::read_dir(service).map_err(|e| format!("{}: {e}", service.display()))?;
    let versions = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let models = versions.flat_map(|v| [v.join("service-2.json.gz"), v.join("service-2.json")]);
    let newest = models.filter(|path| path.is_file()).max();
    newest.ok_or_else(|| format!("{}: no service-2.json(.gz) below it", service.display()))
}

fn read(path: &Path) -> Result<Model> {
    let json = match path.extension().is_some_and(|e| e == "gz") {
        true => run(Command::new("gzip").arg("-dc").arg(path))?,
        false => std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?,
    };
    serde_json::from_slice(&json).map_err(|e| format!("{}: {e}", path.display()))
}

fn run(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(format!(
            "{command:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

#[derive(Deserialize)]
struct Model {
    metadata: Metadata,
    operations: BTreeMap<String, Operation>,
    shapes: BTreeMap<String, Shape>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    target_prefix: String,
    endpoint_prefix: String,
    signing_name: Option<String>,
}

#[derive(Deserialize)]
struct Operation {
    input: Option<Reference>,
}

#[derive(Deserialize)]
struct Reference {
    shape: String,
}

#[derive(Deserialize)]
struct Shape {
    r#type: String,
    #[serde(default)]
    members: Members,
    #[serde(default)]
    required: Vec<String>,
    member: Option<Reference>,
    key: Option<Reference>,
    value: Option<Reference>,
    min: Option<i64>,
    max: Option<i64>,
    pattern: Option<String>,
    #[serde(default, rename = "enum")]
    values: Vec<String>,
    #[serde(default)]
    sensitive: bool,
    #[serde(default)]
    exception: bool,
}

/// Members in the model's order, in which the service reports what is wrong with them.
#[derive(Default)]
struct Members(Vec<(String, Reference)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        struct InOrder;
        impl<'de> serde::de::Visitor<'de> for InOrder {
            type Value = Members;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("members by name")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    members.push(entry);
                }
                Ok(Members(members))
            }
        }
        d.deserialize_map(InOrder)
    }
}

impl Model {
    fn code(&self) -> Result<String> {
        let mut tables = BTreeMap::new();
        let mut operations = String::new();
        for (name, operation) in &self.operations {
            let input = match &operation.input {
                Some(input) => self.reference(&input.shape, &mut tables)?,
                None => "&NO_MEMBERS".to_owned(),
            };
            let _ = writeln!(operations, "        ({name:?}, {input}),");
        }
        let Metadata {
            target_prefix,
            endpoint_prefix,
            signing_name,
        } = &self.metadata;
        let signing_name = signing_name.as_ref().unwrap_or(endpoint_prefix);
        let message = self.message_member()?;
        let mut code = format!(
            "//! Made by `cargo xtask shapes`: names and constraints of the service's inputs.\n\
\n\
             use crate::shape::make::*;\n\n\
             /// The service's model.\n\
             pub static MODEL: Model = Model {{\n\
             \x20   target_prefix: {target_prefix:?},\n\
             \x20   signing_name: {signing_name:?},\n\
             \x20   message_member: {message:?},\n\
             \x20   operations: &[\n{operations}    ],\n\
             }};\n\n"
        );
        for (name, table) in tables {
            let _ = writeln!(code, "static {name}: {table};");
        }
        Ok(code)
    }

    /// `message` or `Message`: what all of the service's exceptions call their text.
    fn message_member(&self) -> Result<&str> {
        let exceptions = self.shapes.values().filter(|shape| shape.exception);
        let mut names = exceptions
            .flat_map(|shape| &shape.members.0)
            .map(|(name, _)| name);
        let first = names.next().ok_or("no exception has a member")?;
        match names.all(|name| name == first) {
            true => Ok(first),
            false => Err("exceptions disagree about the member of their text".to_owned()),
        }
    }

    /// `&NAME` of a shape, whose table is made if it is new.
    fn reference(&self, name: &str, tables: &mut BTreeMap<String, String>) -> Result<String> {
        let constant = constant(name);
        if !tables.contains_key(&constant) {
            // A name first, so that a shape that contains itself ends the recursion.
            tables.insert(constant.clone(), String::new());
            let table = self.table(name, tables)?;
            tables.insert(constant.clone(), format!("Shape = {table}"));
        }
        Ok(format!("&{constant}"))
    }

    fn part(
        &self,
        reference: &Option<Reference>,
        tables: &mut BTreeMap<String, String>,
    ) -> Result<String> {
        let reference = reference
            .as_ref()
            .ok_or("a list or map does not say of what")?;
        self.reference(&reference.shape, tables)
    }

    fn table(&self, name: &str, tables: &mut BTreeMap<String, String>) -> Result<String> {
        let shape = self
            .shapes
            .get(name)
            .ok_or_else(|| format!("no shape {name}"))?;
        let range = format!("range({:?}, {:?})", shape.min, shape.max);
        let secret = if shape.sensitive { "secret_" } else { "" };
        Ok(match shape.r#type.as_str() {
            "structure" => {
                let mut members = String::from("\n");
                for (member, reference) in &shape.members.0 {
                    let is = if shape.required.contains(member) {
                        "required"
                    } else {
                        "optional"
                    };
                    let shape = self.reference(&reference.shape, tables)?;
                    let _ = writeln!(members, "    {is}({member:?}, {shape}),");
                }
                format!("Shape::Structure(&[{members}])")
            }
            "list" => format!("list({}, {range})", self.part(&shape.member, tables)?),
            "map" => format!(
                "map({}, {}, {range})",
                self.part(&shape.key, tables)?,
                self.part(&shape.value, tables)?
            ),
            "string" if !shape.values.is_empty() => format!("values(&{:?})", shape.values),
            "string" => {
                let pattern = match &shape.pattern {
                    Some(pattern) => {
                        let constant = format!("{}_PATTERN", constant(name));
                        let table = format!("Pattern = Pattern::new(r#\"{pattern}\"#)");
                        tables.insert(constant.clone(), table);
                        format!("Some(&{constant})")
                    }
                    None => "None".to_owned(),
                };
                format!("{secret}text({range}, {pattern})")
            }
            "blob" => format!("{secret}blob({range})"),
            "integer" | "long" => format!("Shape::Integer({range})"),
            "boolean" => "Shape::Boolean".to_owned(),
            "timestamp" => "Shape::Timestamp".to_owned(),
            other => {
                return Err(format!(
                    "{name} is of type {other}, which no input had before"
                ));
            }
        })
    }
}

/// `KeyIdType` is `KEY_ID_TYPE`.
fn constant(name: &str) -> String {
    let mut out = String::new();
    let mut before = None;
    for c in name.chars() {
        if c.is_ascii_uppercase() && before.is_some_and(|b: char| !b.is_ascii_uppercase()) {
            out.push('_');
        }
        out.push(c.to_ascii_uppercase());
        before = Some(c);
    }
    out
}
