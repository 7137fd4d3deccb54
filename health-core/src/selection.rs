use std::collections::BTreeSet;
use std::fmt;

use crate::runner::{Plan, Runner};

/// Which checks to read: a group's or all, only some of them, without some of them.
///
/// ```
/// use health_core::Selection;
/// let selection = Selection::default().group("ready").skip("mail");
/// # let _ = selection;
/// ```
#[derive(Debug, Clone, Default)]
pub struct Selection {
    group: Option<String>,
    only: BTreeSet<String>,
    skip: BTreeSet<String>,
}

impl Selection {
    /// The checks of this group. *Default*: all checks.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// Only this check, and the others that are named so.
    #[must_use]
    pub fn only(mut self, identifier: impl Into<String>) -> Self {
        self.only.insert(identifier.into());
        self
    }

    /// Not this check.
    #[must_use]
    pub fn skip(mut self, identifier: impl Into<String>) -> Self {
        self.skip.insert(identifier.into());
        self
    }
}

impl Selection {
    pub(crate) fn plan(&self, runner: &Runner) -> Result<Plan, UnknownName> {
        let unknown = |what, name: &str, known: Vec<&str>| UnknownName {
            what,
            name: name.to_owned(),
            known: known.into_iter().map(str::to_owned).collect(),
        };
        let group = self.group.as_deref();
        let groups = || runner.plans().iter().filter_map(|plan| plan.name.as_deref()).collect();
        let plan = runner.plan(group).ok_or_else(|| unknown("group", group.unwrap_or_default(), groups()))?;
        let known: BTreeSet<&str> = runner.identifiers().collect();
        if let Some(stranger) = self.only.iter().chain(&self.skip).find(|name| !known.contains(name.as_str())) {
            return Err(unknown("check", stranger, known.into_iter().collect()));
        }
        let members: Vec<&str> = plan.members.iter().map(|&member| runner.name_of(member)).collect();
        if let Some(stranger) = self.only.iter().find(|name| !members.contains(&name.as_str())) {
            return Err(unknown("check of this group", stranger, members));
        }
        let keep = |name: &str| (self.only.is_empty() || self.only.contains(name)) && !self.skip.contains(name);
        Ok(runner.narrow(plan, keep))
    }
}

/// A selection names a check or a group that there is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownName {
    what: &'static str,
    name: String,
    known: Vec<String>,
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no {} is named \"{}\"; there are: {}", self.what, self.name, self.known.join(", "))
    }
}

impl std::error::Error for UnknownName {}
