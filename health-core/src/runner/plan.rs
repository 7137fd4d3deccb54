//! Which checks a group reads, and by which rules: all of it decided once, when the health is built.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::cell::Cell;
use crate::registry::{BuildError, Entry, Registry};
use crate::{Anonymous, GroupSettings, Scope, Settings};

/// A group, or all checks: its members, and the checks that have to run along because members depend on them.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) name: Option<String>,
    pub(crate) kind: Kind,
    /// Whether none of its members was left out.
    pub(crate) is_whole: bool,
    /// Positions of the cells, in order.
    pub(crate) members: Vec<usize>,
    /// The members and all that they depend on.
    pub(crate) closure: Vec<usize>,
    pub(crate) budget: Duration,
    pub(crate) warnings_as_errors: bool,
    pub(crate) anonymous: Anonymous,
    /// `true` if the group fails while the service drains.
    pub(crate) drains: bool,
}

/// The groups whose meaning the engine knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    All,
    Live,
    Ready,
    Startup,
    Declared,
}

const PROBES: [(&str, Kind); 3] = [("live", Kind::Live), ("ready", Kind::Ready), ("startup", Kind::Startup)];

/// The cells of a service, sorted by identifier, and its plans: all checks first, then the groups.
pub(crate) fn build_plans(
    registry: Registry,
    groups: &BTreeMap<String, GroupSettings>,
    settings: &Settings,
) -> Result<(Vec<Cell>, Vec<Plan>), BuildError> {
    registry.validate()?;
    let mut entries = registry.entries;
    entries.sort_by(|a, b| a.identifier.cmp(&b.identifier));
    refuse_unknown_groups(&entries, groups)?;
    let dependencies = dependencies(&entries)?;
    let cells: Vec<Cell> =
        entries.into_iter().zip(dependencies).map(|(entry, needs)| Cell::new(entry, needs, settings)).collect();

    let mut plans = vec![plan(None, Kind::All, &GroupSettings::default(), &cells, settings)];
    for (name, kind) in PROBES {
        let own = groups.get(name).cloned().unwrap_or_default();
        if own.drains.is_some() {
            let message = "drains is for groups of your own: ready always drains, live and startup never do";
            return Err(BuildError::group(name, message));
        }
        plans.push(plan(Some(name), kind, &own, &cells, settings));
        if kind == Kind::Live {
            refuse_in_live(&cells, &own)?;
        }
    }
    for (name, own) in groups.iter().filter(|(name, _)| !PROBES.iter().any(|(probe, _)| probe == name)) {
        let plan = plan(Some(name), Kind::Declared, own, &cells, settings);
        if plan.members.is_empty() {
            return Err(BuildError::group(name, "no check names it: add it to a check's groups, or remove it"));
        }
        plans.push(plan);
    }
    Ok((cells, plans))
}

fn plan(name: Option<&str>, kind: Kind, own: &GroupSettings, cells: &[Cell], settings: &Settings) -> Plan {
    let by_default = |cell: &Cell| cell.groups.is_empty() && cell.critical;
    let is_member = |cell: &Cell| match kind {
        Kind::All => true,
        Kind::Live | Kind::Declared => name.is_some_and(|name| cell.groups.contains(name)),
        Kind::Ready => name.is_some_and(|name| cell.groups.contains(name)) || by_default(cell),
        Kind::Startup => name.is_some_and(|name| cell.groups.contains(name)) || cell.critical,
    };
    let members: Vec<usize> = (0..cells.len()).filter(|&position| is_member(&cells[position])).collect();
    let is_probe = matches!(kind, Kind::Live | Kind::Ready | Kind::Startup);
    Plan {
        name: name.map(str::to_owned),
        kind,
        is_whole: true,
        closure: closure(kind, &members, cells),
        members,
        budget: own.budget.unwrap_or(if is_probe { settings.probe_budget } else { settings.budget }),
        warnings_as_errors: own.warnings_as_errors.unwrap_or(settings.warnings_as_errors && !is_probe),
        anonymous: own.anonymous.unwrap_or(settings.anonymous),
        drains: match kind {
            Kind::All | Kind::Ready => true,
            Kind::Live | Kind::Startup => false,
            Kind::Declared => own.drains.unwrap_or(true),
        },
    }
}

impl Plan {
    /// This plan with some of its members only; a plan of all checks where nothing is left out.
    pub(crate) fn narrowed(&self, cells: &[Cell], keep: impl Fn(&str) -> bool) -> Self {
        let members: Vec<usize> = self.members.iter().copied().filter(|&i| keep(&cells[i].identifier)).collect();
        let is_whole = members.len() == self.members.len();
        Self { closure: closure(self.kind, &members, cells), members, is_whole, ..self.clone() }
    }
}

/// Liveness runs nothing but its members, for it must not wait for what they depend on.
fn closure(kind: Kind, members: &[usize], cells: &[Cell]) -> Vec<usize> {
    if kind == Kind::Live {
        return members.to_vec();
    }
    let (mut closure, mut ahead) = (BTreeSet::new(), members.to_vec());
    while let Some(position) = ahead.pop() {
        if closure.insert(position) {
            ahead.extend(&cells[position].depends_on);
        }
    }
    closure.into_iter().collect()
}

fn refuse_unknown_groups(entries: &[Entry], groups: &BTreeMap<String, GroupSettings>) -> Result<(), BuildError> {
    for group in groups.keys() {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if group.is_empty() || !group.chars().all(plain) {
            return Err(BuildError::group(group, "a group is part of a URL: use letters, digits, '-', '_' and '.'"));
        }
    }
    for entry in entries {
        for group in &entry.options.groups {
            let known = groups.contains_key(&**group) || PROBES.iter().any(|(probe, _)| probe == group);
            if !known {
                let message = format!("its group \"{group}\" is not declared: declare it, or correct the name");
                return Err(BuildError::option(&entry.identifier, message));
            }
        }
    }
    Ok(())
}

fn refuse_in_live(cells: &[Cell], live: &GroupSettings) -> Result<(), BuildError> {
    if let Some(stranger) = live.allow_in_live.iter().find(|name| !cells.iter().any(|cell| cell.identifier == **name)) {
        return Err(BuildError::group("live", format!("it allows \"{stranger}\", and there is no such check")));
    }
    let refused = cells.iter().find(|cell| {
        cell.groups.contains("live") && cell.scope != Scope::Process && !live.allow_in_live.contains(&cell.identifier)
    });
    let Some(cell) = refused else { return Ok(()) };
    let message = format!(
        "its scope is {}, and a failing liveness probe restarts the process, which does not mend that: \
         take it out of \"live\", or allow_in_live it there by name",
        cell.scope
    );
    Err(BuildError::option(&cell.identifier, message))
}

/// The positions that each check depends on; unknown names and cycles are refused.
fn dependencies(entries: &[Entry]) -> Result<Vec<Vec<usize>>, BuildError> {
    let position = |name: &str| entries.iter().position(|entry| entry.identifier == name);
    let mut all = Vec::with_capacity(entries.len());
    for entry in entries {
        let mut needs = Vec::new();
        for name in &entry.options.depends_on {
            let unknown = || {
                let message = format!("it depends on \"{name}\", and there is no such check");
                BuildError::option(&entry.identifier, message)
            };
            needs.push(position(name).ok_or_else(unknown)?);
        }
        all.push(needs);
    }
    for start in 0..entries.len() {
        if let Some(cycle) = cycle(start, &all) {
            let names: Vec<_> = cycle.iter().map(|&position| entries[position].identifier.as_str()).collect();
            let message = format!("it depends on itself: {}", names.join(" -> "));
            return Err(BuildError::option(&entries[start].identifier, message));
        }
    }
    Ok(all)
}

/// The way from a check back to itself, if there is one.
fn cycle(start: usize, needs: &[Vec<usize>]) -> Option<Vec<usize>> {
    let (mut seen, mut ways) = (BTreeSet::new(), vec![vec![start]]);
    while let Some(way) = ways.pop() {
        for &next in way.last().map_or(&[][..], |&last| &needs[last]) {
            if next == start {
                return Some([way.as_slice(), &[start]].concat());
            }
            if seen.insert(next) {
                ways.push([way.as_slice(), &[next]].concat());
            }
        }
    }
    None
}
