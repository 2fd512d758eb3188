//! The declared types as Rust runs them.
//!
//! Python declares every list of the language once (`messwerk/sml/messages.py`) and writes the
//! declarations down as text, which is read here:
//!
//! ```text
//! list ListEntry
//!   obj_name octets
//!   val_time ? choice 1=SecIndex 2=Timestamp 3=LocalTimestamp bare=BareSecIndex
//!   value ! value
//! alternative SecIndex
//!   value unsigned 4
//! body 00000701 GetListResponse
//! list_type choice 1=TimeValue 2=TimestampedValue 3=CosemValue
//! ```
//!
//! `?` marks an optional field, `!` one that real meters leave out against the rules. `tree` in
//! the place of `list` declares a list that nests in itself.

use std::collections::HashMap;

pub type ClassId = usize;

#[derive(Debug, Clone)]
pub enum Rule {
    Octets,
    Boolean,
    Integer {
        signed: bool,
        width: usize,
    },
    Status,
    /// SML_Value; without `lists` SML_SimpleValue.
    Value {
        lists: bool,
    },
    List(ClassId),
    Many(Box<Rule>),
    Choice(Choice),
}

#[derive(Debug, Clone)]
pub struct Choice {
    pub alternatives: Vec<(u8, ClassId)>,
    /// What a bare Unsigned32 in this place is read as (quirk Q2).
    pub bare: Option<ClassId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    Mandatory,
    Optional,
    /// Mandatory, but tolerated when missing (quirk Q12).
    Lenient,
}

#[derive(Debug, Clone)]
pub struct Field {
    pub name: String,
    pub presence: Presence,
    pub rule: Rule,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    List,
    /// A list that nests in itself.
    Tree,
    /// Its one field stands for itself.
    Alternative,
}

#[derive(Debug, Clone)]
pub struct Class {
    pub name: String,
    pub form: Form,
    pub fields: Vec<Field>,
}

#[derive(Debug, Clone)]
pub struct Plan {
    pub classes: Vec<Class>,
    pub bodies: Vec<(u32, ClassId)>,
    /// What a list in the place of an SML_Value is.
    pub list_type: Choice,
}

impl Plan {
    /// Read the text Python writes. The message says which line makes no sense.
    pub fn parse(text: &str) -> Result<Plan, String> {
        let mut ids = HashMap::new();
        for line in text.lines() {
            if let ["list" | "tree" | "alternative", name] = words(line)[..] {
                ids.insert(name.to_string(), ids.len());
            }
        }
        let class = |name: &str| ids.get(name).copied().ok_or_else(|| format!("no class {name}"));
        let mut classes: Vec<Class> = Vec::new();
        let mut bodies = Vec::new();
        let mut list_type = None;
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let parsed = match words(line)[..] {
                [form @ ("list" | "tree" | "alternative"), name] => {
                    let form = match form {
                        "list" => Form::List,
                        "tree" => Form::Tree,
                        _ => Form::Alternative,
                    };
                    classes.push(Class { name: name.into(), form, fields: Vec::new() });
                    Ok(())
                }
                ["body", tag, name] => u32::from_str_radix(tag, 16)
                    .map_err(|error| error.to_string())
                    .and_then(|tag| class(name).map(|id| bodies.push((tag, id)))),
                ["list_type", "choice", ref alternatives @ ..] => {
                    choice(alternatives, &class).map(|choice| list_type = Some(choice))
                }
                [name, ref rest @ ..] if line.starts_with("  ") => {
                    let (presence, rest) = match rest {
                        ["?", rest @ ..] => (Presence::Optional, rest),
                        ["!", rest @ ..] => (Presence::Lenient, rest),
                        rest => (Presence::Mandatory, rest),
                    };
                    match (classes.last_mut(), rule(rest, &class)) {
                        (Some(owner), Ok(rule)) => {
                            owner.fields.push(Field { name: name.into(), presence, rule });
                            Ok(())
                        }
                        (None, _) => Err("a field before any list".into()),
                        (_, Err(error)) => Err(error),
                    }
                }
                _ => Err("neither a class, a field, a body nor the list type".into()),
            };
            parsed.map_err(|error| format!("{error}: {line:?}"))?;
        }
        let list_type = list_type.ok_or("no list type")?;
        if let Some(class) = classes.iter().find(|class| class.form == Form::Alternative && class.fields.len() != 1) {
            return Err(format!("{} is an alternative and must have one field", class.name));
        }
        Ok(Plan { classes, bodies, list_type })
    }

    pub fn body(&self, tag: u32) -> Option<ClassId> {
        self.bodies.iter().find(|(known, _)| *known == tag).map(|(_, id)| *id)
    }

    pub fn class_id(&self, name: &str) -> Option<ClassId> {
        self.classes.iter().position(|class| class.name == name)
    }
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

fn rule(words: &[&str], class: &impl Fn(&str) -> Result<ClassId, String>) -> Result<Rule, String> {
    match words {
        ["octets"] => Ok(Rule::Octets),
        ["boolean"] => Ok(Rule::Boolean),
        ["status"] => Ok(Rule::Status),
        ["value"] => Ok(Rule::Value { lists: true }),
        ["simple"] => Ok(Rule::Value { lists: false }),
        [sign @ ("integer" | "unsigned"), width] => match width.parse() {
            Ok(width @ 1..=8) => Ok(Rule::Integer { signed: *sign == "integer", width }),
            _ => Err("a width is 1 to 8 bytes".into()),
        },
        ["list", name] => Ok(Rule::List(class(name)?)),
        ["many", rest @ ..] => Ok(Rule::Many(Box::new(rule(rest, class)?))),
        ["choice", alternatives @ ..] => Ok(Rule::Choice(choice(alternatives, class)?)),
        _ => Err("no such rule".into()),
    }
}

fn choice(words: &[&str], class: &impl Fn(&str) -> Result<ClassId, String>) -> Result<Choice, String> {
    let mut choice = Choice { alternatives: Vec::new(), bare: None };
    for word in words {
        match word.split_once('=') {
            Some(("bare", name)) => choice.bare = Some(class(name)?),
            Some((tag, name)) => {
                let tag = tag.parse().map_err(|_| "a tag is a number of one byte".to_string())?;
                choice.alternatives.push((tag, class(name)?));
            }
            None => return Err("an alternative is tag=Class".into()),
        }
    }
    Ok(choice)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
list Open
  id ? octets
  times many choice 1=Index bare=Bare
  value ! value
alternative Index
  value unsigned 4
alternative Bare
  value unsigned 4
body 00000101 Open
list_type choice 1=Index
";

    #[test]
    fn a_plan_is_read_with_forward_references() {
        let plan = Plan::parse(TEXT).unwrap();
        assert_eq!(plan.body(0x101), Some(0));
        assert_eq!(plan.classes[0].fields[0].presence, Presence::Optional);
        assert_eq!(plan.classes[0].fields[2].presence, Presence::Lenient);
        let Rule::Many(item) = &plan.classes[0].fields[1].rule else { panic!("not many") };
        let Rule::Choice(choice) = &**item else { panic!("not a choice") };
        assert_eq!((choice.alternatives[0], choice.bare), ((1, 1), Some(2)));
    }

    #[test]
    fn a_wrong_line_is_named() {
        let error = Plan::parse("list A\n  b unsigned 9\nlist_type choice").unwrap_err();
        assert!(error.contains("unsigned 9"), "{error}");
    }
}
