use std::collections::BTreeSet;
use std::fmt;

use crate::runner::{Plan, Runner};

/// Selects checks to read: all or those of a group, only some of them, without some of them.
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
    /// Selects the checks of this group. *Default*: all checks.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// Selects only this check, and others that are selected in this way.
    #[must_use]
    pub fn only(mut self, identifier: impl Into<String>) -> Self {
        self.only.insert(identifier.into());
        self
    }

    /// Leaves this check out.
    #[must_use]
    pub fn skip(mut self, identifier: impl Into<String>) -> Self {
        self.skip.insert(identifier.into());
        self
    }
}

impl Selection {
    pub(crate) fn plan(&self, runner: &Runner) -> Result<Plan, UnknownName> {
        let group = self.group.as_deref();
        let groups = || {
            runner
                .plans()
                .iter()
                .filter_map(|plan| plan.name.as_deref())
        };
        let plan = runner
            .plan(group)
            .ok_or_else(|| UnknownName::group(group.unwrap_or_default(), groups()))?;
        let known: BTreeSet<&str> = runner.identifiers().collect();
        if let Some(unknown) = self
            .only
            .iter()
            .chain(&self.skip)
            .find(|name| !known.contains(name.as_str()))
        {
            return Err(UnknownName::check(unknown, known));
        }
        let members: Vec<&str> = plan
            .members
            .iter()
            .map(|&member| runner.name_of(member))
            .collect();
        if let Some(unknown) = self
            .only
            .iter()
            .find(|name| !members.contains(&name.as_str()))
        {
            return Err(UnknownName::new("check of this group", unknown, members));
        }
        Ok(runner.narrow(plan, |name| keeps(&self.only, &self.skip, name)))
    }
}

/// Returns `true` if a check is one of the only ones, of which an empty set means all, and is not
/// left out.
fn keeps(only: &BTreeSet<String>, without: &BTreeSet<String>, name: &str) -> bool {
    (only.is_empty() || only.contains(name)) && !without.contains(name)
}

/// The checks of a plan that a request chooses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    /// The position of the plan.
    pub(crate) plan: usize,
    /// The only checks to show; empty for all of them.
    pub(crate) only: BTreeSet<String>,
    pub(crate) exclude: BTreeSet<String>,
    /// `true` if the report has the verdicts of all groups, which depend on all checks.
    pub(crate) with_groups: bool,
}

impl Choice {
    /// Returns `true` if it leaves nothing out.
    pub(crate) fn is_whole(&self) -> bool {
        self.only.is_empty() && self.exclude.is_empty()
    }

    pub(crate) fn keeps(&self, name: &str) -> bool {
        keeps(&self.only, &self.exclude, name)
    }

    /// Returns the excluded names that no check has.
    pub(crate) fn unknown_excludes(&self, is_known: impl Fn(&str) -> bool) -> Vec<String> {
        self.exclude
            .iter()
            .filter(|name| !is_known(name))
            .cloned()
            .collect()
    }
}

/// The error of naming a check or a group that does not exist.
#[derive(Clone, PartialEq, Eq)]
pub struct UnknownName {
    what: &'static str,
    name: String,
    known: Vec<String>,
}

impl UnknownName {
    fn new<'a>(what: &'static str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            what,
            name: name.to_owned(),
            known: known.into_iter().map(str::to_owned).collect(),
        }
    }

    pub(crate) fn group<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        Self::new("group", name, known)
    }

    pub(crate) fn check<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        Self::new("check", name, known)
    }
}

/// Writes the message, for a `main` that returns the error.
impl fmt::Debug for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no {} is named \"{}\"; there are: {}",
            self.what,
            self.name,
            self.known.join(", ")
        )
    }
}

impl std::error::Error for UnknownName {}
