//! The checks that a group reads, and the rules for them. All of this is decided once, when the
//! `Health` is built.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::cell::Cell;
use crate::registry::{BuildFault, Entry, Registry};
use crate::{Anonymous, GroupSettings, HealthCheck as _, Hold, Scope, Settings, Status};

/// The checks of a group, or all checks, together with the checks that they depend on.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) name: Option<String>,
    /// The position among all plans.
    pub(crate) index: usize,
    pub(crate) kind: Kind,
    /// `true` if no member was left out.
    pub(crate) is_whole: bool,
    /// The positions of the members among the cells, in order.
    pub(crate) members: Vec<usize>,
    /// The positions of the members and of all checks that they depend on, in order.
    pub(crate) closure: Vec<usize>,
    pub(crate) budget: Duration,
    pub(crate) warnings_as_errors: bool,
    /// The number of the group's account in each cell, if the group has a hold.
    pub(crate) hold: Option<usize>,
    /// The members that the group can hold.
    pub(crate) holdable: Arc<[String]>,
    pub(crate) anonymous: Anonymous,
    /// `true` if the group fails while the service drains.
    pub(crate) drains: bool,
}

/// The kind of a plan, which decides the rules for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    All,
    Live,
    Ready,
    Startup,
    Declared,
}

const PROBES: [(&str, Kind); 3] = [
    ("live", Kind::Live),
    ("ready", Kind::Ready),
    ("startup", Kind::Startup),
];

/// Returns the cells of a service, sorted by identifier, and its plans: first the plan of all
/// checks, then those of the groups. Adds whatever is wrong to `faults`.
pub(crate) fn build_plans(
    registry: Registry,
    groups: &BTreeMap<String, GroupSettings>,
    settings: &Settings,
    faults: &mut Vec<BuildFault>,
) -> (Vec<Cell>, Vec<Plan>) {
    faults.extend(registry.faults());
    let mut entries = registry.entries;
    entries.sort_by(|a, b| a.identifier.cmp(&b.identifier));
    refuse_invalid_groups(&entries, groups, faults);
    let dependencies = dependencies(&entries, faults);
    let cells: Vec<Cell> = entries
        .into_iter()
        .zip(dependencies)
        .map(|(entry, needs)| Cell::new(entry, needs, settings))
        .collect();

    for cell in cells
        .iter()
        .filter(|cell| cell.hold.is_some() && cell.scope != Scope::External)
    {
        let message = format!(
            "its scope is {}, and only external checks are held: leave hold out",
            cell.scope
        );
        faults.push(BuildFault::check(&cell.identifier, message));
    }
    let mut plans = vec![plan(
        None,
        Kind::All,
        &GroupSettings::default(),
        &cells,
        settings,
    )];
    for (name, kind) in PROBES {
        let own = groups.get(name).cloned().unwrap_or_default();
        if own.drains.is_some() {
            let message =
                "drains is for groups of your own: ready always drains, live and startup never do";
            faults.push(BuildFault::group(name, message));
        }
        plans.push(plan(Some(name), kind, &own, &cells, settings));
        if kind == Kind::Live {
            refuse_in_live(&cells, &own, faults);
        }
    }
    for (name, own) in groups
        .iter()
        .filter(|(name, _)| !PROBES.iter().any(|(probe, _)| probe == name))
    {
        let plan = plan(Some(name), Kind::Declared, own, &cells, settings);
        if plan.members.is_empty() {
            faults.push(BuildFault::group(
                name,
                "no check names it: add it to a check's groups, or remove it",
            ));
        }
        plans.push(plan);
    }
    for (index, plan) in plans.iter_mut().enumerate() {
        plan.index = index;
    }
    refuse_mute(&cells, &plans, faults);
    open_accounts(&cells, &mut plans, groups, faults);
    (cells, plans)
}

/// Opens the accounts of the groups that have a hold. Each process lengthens all of its holds by
/// the same random part.
fn open_accounts(
    cells: &[Cell],
    plans: &mut [Plan],
    groups: &BTreeMap<String, GroupSettings>,
    faults: &mut Vec<BuildFault>,
) {
    let lengthen = fastrand::f64();
    let mut holds = 0;
    for plan in plans {
        let Some(name) = &plan.name else { continue };
        let own = groups.get(name).and_then(|own| own.hold);
        if matches!(plan.kind, Kind::Live | Kind::Startup) {
            if own.is_some() {
                let message = "hold is for ready and groups of your own: live has no external checks, and startup ends for good";
                faults.push(BuildFault::group(name, message));
            }
            continue;
        }
        let hold = own.unwrap_or(if plan.kind == Kind::Ready {
            Hold::OF_READY
        } else {
            Hold::NONE
        });
        if hold.is_none() {
            continue;
        }
        for &position in &plan.closure {
            cells[position].open_account(holds, hold, lengthen, plan.warnings_as_errors);
        }
        let external = plan
            .members
            .iter()
            .map(|&position| &cells[position])
            .filter(|cell| cell.scope == Scope::External);
        plan.holdable = external.map(|cell| cell.identifier.clone()).collect();
        plan.hold = Some(holds);
        holds += 1;
    }
}

fn plan(
    name: Option<&str>,
    kind: Kind,
    own: &GroupSettings,
    cells: &[Cell],
    settings: &Settings,
) -> Plan {
    let is_probed = |cell: &Cell| cell.critical && !cell.check.measures();
    let by_default = |cell: &Cell| cell.groups.is_empty() && is_probed(cell);
    let is_member = |cell: &Cell| match kind {
        Kind::All => true,
        Kind::Live | Kind::Declared => name.is_some_and(|name| cell.groups.contains(name)),
        Kind::Ready => name.is_some_and(|name| cell.groups.contains(name)) || by_default(cell),
        Kind::Startup => name.is_some_and(|name| cell.groups.contains(name)) || is_probed(cell),
    };
    let members: Vec<usize> = (0..cells.len())
        .filter(|&position| is_member(&cells[position]))
        .collect();
    let is_probe = matches!(kind, Kind::Live | Kind::Ready | Kind::Startup);
    Plan {
        name: name.map(str::to_owned),
        index: 0,
        kind,
        is_whole: true,
        closure: closure(kind, &members, cells),
        members,
        budget: own.budget.unwrap_or(if is_probe {
            settings.probe_budget
        } else {
            settings.budget
        }),
        hold: None,
        holdable: Arc::default(),
        warnings_as_errors: own
            .warnings_as_errors
            .unwrap_or(settings.warnings_as_errors && !is_probe),
        anonymous: own.anonymous.unwrap_or(settings.anonymous),
        drains: match kind {
            Kind::All | Kind::Ready => true,
            Kind::Live | Kind::Startup => false,
            Kind::Declared => own.drains.unwrap_or(true),
        },
    }
}

impl Plan {
    /// Returns `true` if a critical check of this status fails the group.
    pub(crate) fn fails(&self, status: Status) -> bool {
        status > Status::Warning || self.warnings_as_errors && status == Status::Warning
    }

    /// Returns `true` if the plan reads this check.
    pub(crate) fn reads(&self, cell: usize) -> bool {
        self.closure.binary_search(&cell).is_ok()
    }

    /// Returns this plan with only those members that `keep` accepts.
    pub(crate) fn narrowed(&self, cells: &[Cell], keep: impl Fn(&str) -> bool) -> Self {
        let members: Vec<usize> = self
            .members
            .iter()
            .copied()
            .filter(|&i| keep(&cells[i].identifier))
            .collect();
        let is_whole = members.len() == self.members.len();
        Self {
            closure: closure(self.kind, &members, cells),
            members,
            is_whole,
            ..self.clone()
        }
    }
}

/// Returns the members and all checks that they depend on. For liveness these are only the members,
/// because it must not wait for a dependency.
fn closure(kind: Kind, members: &[usize], cells: &[Cell]) -> Vec<usize> {
    if kind == Kind::Live {
        return members.to_vec();
    }
    let mut closure = BTreeSet::new();
    let mut ahead = members.to_vec();
    while let Some(position) = ahead.pop() {
        if closure.insert(position) {
            ahead.extend(&cells[position].depends_on);
        }
    }
    closure.into_iter().collect()
}

fn refuse_invalid_groups(
    entries: &[Entry],
    groups: &BTreeMap<String, GroupSettings>,
    faults: &mut Vec<BuildFault>,
) {
    for group in groups.keys() {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if group.is_empty() || !group.chars().all(plain) {
            faults.push(BuildFault::group(
                group,
                "a group is part of a URL: use letters, digits, '-', '_' and '.'",
            ));
        }
    }
    for entry in entries {
        for group in &entry.options.groups {
            let known =
                groups.contains_key(&**group) || PROBES.iter().any(|(probe, _)| probe == group);
            if !known {
                let mut names: Vec<&str> = PROBES.iter().map(|(probe, _)| *probe).collect();
                let others = groups
                    .keys()
                    .map(String::as_str)
                    .filter(|name| !names.contains(name))
                    .collect::<Vec<_>>();
                names.extend(others);
                let message = format!(
                    "its group \"{group}\" is not declared: declare it, or correct the name; there are: {}",
                    names.join(", ")
                );
                faults.push(BuildFault::check(&entry.identifier, message));
            }
        }
    }
}

fn refuse_in_live(cells: &[Cell], live: &GroupSettings, faults: &mut Vec<BuildFault>) {
    for unknown in live
        .allow_in_live
        .iter()
        .filter(|name| !cells.iter().any(|cell| cell.identifier == **name))
    {
        faults.push(BuildFault::group(
            "live",
            format!("it allows \"{unknown}\", and there is no such check"),
        ));
    }
    for gate in cells
        .iter()
        .filter(|cell| cell.in_live && cell.source().is_some_and(|source| source.is_gate))
    {
        let message = "a closed gate in \"live\" would restart a process that is starting: take it out of \"live\"";
        faults.push(BuildFault::check(&gate.identifier, message));
    }
    let refused = cells.iter().filter(|cell| {
        cell.in_live
            && cell.scope != Scope::Process
            && !live.allow_in_live.contains(&cell.identifier)
    });
    for cell in refused {
        let message = format!(
            "its scope is {}, and a failing liveness probe restarts the process, which does not mend that: \
             take it out of \"live\", or name it in that group's allow_in_live",
            cell.scope
        );
        faults.push(BuildFault::check(&cell.identifier, message));
    }
}

/// Refuses a check that only warns in a group that it names and that warnings do not fail.
fn refuse_mute(cells: &[Cell], plans: &[Plan], faults: &mut Vec<BuildFault>) {
    for plan in plans.iter().filter(|plan| !plan.warnings_as_errors) {
        let Some(name) = &plan.name else { continue };
        let named = cells.iter().filter(|cell| cell.groups.contains(name));
        for cell in named.filter(|cell| cell.critical && cell.check.only_warns()) {
            let message = format!(
                "it only warns, and warnings do not fail \"{name}\": set warnings_as_errors for \
                 that group, or take the check out of it"
            );
            faults.push(BuildFault::check(&cell.identifier, message));
        }
    }
}

/// Returns the positions that each check depends on. Unknown names and cycles are faults.
fn dependencies(entries: &[Entry], faults: &mut Vec<BuildFault>) -> Vec<Vec<usize>> {
    let position = |name: &str| entries.iter().position(|entry| entry.identifier == name);
    let mut all = Vec::with_capacity(entries.len());
    for entry in entries {
        let mut needs = Vec::new();
        for name in &entry.options.depends_on {
            if let Some(position) = position(name) {
                needs.push(position);
            } else {
                let names: Vec<_> = entries
                    .iter()
                    .map(|entry| entry.identifier.as_str())
                    .collect();
                let message = format!(
                    "it depends on \"{name}\", and there is no such check; there are: {}",
                    names.join(", ")
                );
                faults.push(BuildFault::check(&entry.identifier, message));
            }
        }
        all.push(needs);
    }
    for start in 0..entries.len() {
        // Each cycle is reported once, at its first member.
        if let Some(cycle) =
            cycle(start, &all).filter(|cycle| cycle.iter().all(|&member| member >= start))
        {
            let names: Vec<_> = cycle
                .iter()
                .map(|&position| entries[position].identifier.as_str())
                .collect();
            let message = format!("it depends on itself: {}", names.join(" -> "));
            faults.push(BuildFault::check(&entries[start].identifier, message));
        }
    }
    all
}

/// Returns a path from a check back to itself, if there is one.
fn cycle(start: usize, needs: &[Vec<usize>]) -> Option<Vec<usize>> {
    let mut seen = BTreeSet::new();
    let mut ways = vec![vec![start]];
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
