//! Reads the limits of the control groups that this process is in (Linux; versions 1 and 2).

use std::path::{Path, PathBuf};
use std::time::Duration;

/// The tightest limit of memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MemoryLimit {
    /// The most memory that the group may use.
    pub(crate) limit: u64,
    /// The memory that the group may still use. The page cache counts as available, whether its
    /// files were read once (inactive) or more often (active). So do the directory entries that the
    /// kernel keeps: it drops them before it kills a process.
    pub(crate) available: u64,
}

/// The CPU use of the group that has the fewest CPUs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct CpuGroup {
    /// The number of CPUs that the group may use at a time.
    pub(crate) cores: f64,
    /// The CPU time that the group has used.
    pub(crate) used: Duration,
    /// The periods in which the group wanted to run, and those of them in which it had used up its
    /// share.
    pub(crate) periods: u64,
    pub(crate) throttled: u64,
    /// The percentage of the last minute in which a task waited for a CPU, if the kernel measures
    /// it (version 2).
    pub(crate) pressure: Option<f64>,
}

/// Returns the limit with the least headroom between this process's group and the root, or `None`
/// if there is no limit.
///
/// `root` is `/` except in tests. `host` is the memory of the machine: a limit that is not below it
/// does not count.
pub(crate) fn memory_limit(root: &Path, host: u64) -> Option<MemoryLimit> {
    let (hierarchy, folders) = folders(root, "memory")?;
    let limits = folders
        .iter()
        .filter_map(|dir| hierarchy.memory(dir))
        .filter(|found| found.limit < host);
    limits.min_by_key(|found| found.available)
}

/// Returns the number of tasks and the limit of the group that is closest to its limit.
pub(crate) fn pids(root: &Path) -> Option<(u64, u64)> {
    let (_, folders) = folders(root, "pids")?;
    let limits = folders
        .iter()
        .filter_map(|dir| Some((number(dir, "pids.current")?, number(dir, "pids.max")?)));
    limits.min_by_key(|(used, limit)| limit.saturating_sub(*used))
}

/// Returns the group that has the fewest CPUs, or `None` if no group is limited.
pub(crate) fn cpu(root: &Path) -> Option<CpuGroup> {
    let (hierarchy, folders) = folders(root, "cpu")?;
    let position = (0..folders.len())
        .filter_map(|position| Some((position, hierarchy.cores(&folders[position])?)));
    let (position, cores) = position.min_by(|(_, a), (_, b)| a.total_cmp(b))?;
    let stat = std::fs::read_to_string(folders[position].join("cpu.stat")).unwrap_or_default();
    let field = |name: &str| {
        stat.lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok())
    };
    let used = match hierarchy {
        Hierarchy::V2 => Duration::from_micros(field("usage_usec ")?),
        Hierarchy::V1 => {
            let (_, of_use) = self::folders(root, "cpuacct")?;
            // The hierarchies of both controllers have the same groups, and usually the same mount.
            let folder = of_use.get(position).or(of_use.last())?;
            Duration::from_nanos(number(folder, "cpuacct.usage")?)
        }
    };
    let pressure = std::fs::read_to_string(folders[position].join("cpu.pressure")).ok();
    Some(CpuGroup {
        cores,
        used,
        periods: field("nr_periods ").unwrap_or_default(),
        throttled: field("nr_throttled ").unwrap_or_default(),
        pressure: pressure.and_then(|text| pressure_of(&text)),
    })
}

/// Returns the percentage of the last minute in which some task waited: `avg60` of `some`.
pub(crate) fn pressure_of(text: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix("some "))?;
    line.split(' ')
        .find_map(|field| field.strip_prefix("avg60=")?.parse().ok())
}

fn number(dir: &Path, file: &str) -> Option<u64> {
    std::fs::read_to_string(dir.join(file))
        .ok()?
        .trim()
        .parse()
        .ok() // "max" is not a number, and means no limit
}

/// Returns the folders of this process's group, and of the groups above it, in the hierarchy of a
/// controller.
fn folders(root: &Path, controller: &str) -> Option<(Hierarchy, Vec<PathBuf>)> {
    let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mounts = std::fs::read_to_string(root.join("proc/self/mountinfo")).ok()?;
    let (hierarchy, group) = own_group(&groups, controller)?;
    let (top, mount) = mounts
        .lines()
        .find_map(|line| hierarchy.mount(line, controller))?;
    let mount = root.join(mount.strip_prefix("/").unwrap_or(&mount));
    // In a container, the mount shows only a part of the tree, and the group's path may lie outside
    // of it.
    let mut dir = group
        .strip_prefix(&top)
        .map_or_else(|_| mount.clone(), |below| mount.join(below));
    let mut folders = vec![dir.clone()];
    while dir != mount && dir.pop() {
        folders.push(dir.clone());
    }
    Some((hierarchy, folders))
}

/// Returns the group in the hierarchy of a controller: that of version 1 if the controller is
/// mounted there, that of version 2 otherwise.
fn own_group(groups: &str, controller: &str) -> Option<(Hierarchy, PathBuf)> {
    let line = |wanted: &dyn Fn(&str) -> bool| {
        let mut fields = groups.lines().map(|line| line.splitn(3, ':'));
        fields.find_map(|mut fields| {
            let _ = fields.next()?;
            let controllers = fields.next()?;
            let path = fields.next()?;
            wanted(controllers).then(|| PathBuf::from(path))
        })
    };
    let v1 = line(&|controllers| controllers.split(',').any(|one| one == controller));
    v1.map(|path| (Hierarchy::V1, path))
        .or_else(|| Some((Hierarchy::V2, line(&str::is_empty)?)))
}

#[derive(Debug, Clone, Copy)]
enum Hierarchy {
    V1,
    V2,
}

impl Hierarchy {
    /// Returns the group at the top of this hierarchy and its mount point, if this line of
    /// `mountinfo` mounts the hierarchy.
    fn mount(self, line: &str, controller: &str) -> Option<(PathBuf, PathBuf)> {
        let (mount, source) = line.split_once(" - ")?;
        let mut source = source.split(' ');
        let kind = source.next()?;
        let options = source.nth(1)?;
        let is_ours = match self {
            Self::V1 => kind == "cgroup" && options.split(',').any(|option| option == controller),
            Self::V2 => kind == "cgroup2",
        };
        let mut fields = mount.split(' ').skip(3);
        is_ours.then_some((fields.next()?.into(), fields.next()?.into()))
    }

    fn memory(self, dir: &Path) -> Option<MemoryLimit> {
        let (limit, used, cached) = match self {
            Self::V1 => (
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
                &["total_inactive_file", "total_active_file"][..],
            ),
            Self::V2 => (
                "memory.max",
                "memory.current",
                &["inactive_file", "active_file", "slab_reclaimable"][..],
            ),
        };
        // Above `memory.high`, the kernel throttles the group to a standstill before it reaches its
        // limit.
        let soft = match self {
            Self::V1 => None,
            Self::V2 => number(dir, "memory.high"),
        };
        let limit = number(dir, limit).into_iter().chain(soft).min()?;
        let stat = std::fs::read_to_string(dir.join("memory.stat")).unwrap_or_default();
        let fields = stat.lines().filter_map(|line| line.split_once(' '));
        let cached = fields
            .filter(|(key, _)| cached.contains(key))
            .filter_map(|(_, bytes)| bytes.parse::<u64>().ok());
        let used = number(dir, used)?.saturating_sub(cached.sum());
        Some(MemoryLimit {
            limit,
            available: limit.saturating_sub(used),
        })
    }

    /// Returns the number of CPUs that a group may use at a time, or `None` if it is not limited.
    #[expect(clippy::cast_precision_loss, reason = "microseconds of a period")]
    fn cores(self, dir: &Path) -> Option<f64> {
        let (quota, period) = match self {
            Self::V1 => (
                number(dir, "cpu.cfs_quota_us")?,
                number(dir, "cpu.cfs_period_us")?,
            ), // -1 means no limit
            Self::V2 => {
                let text = std::fs::read_to_string(dir.join("cpu.max")).ok()?;
                let (quota, period) = text.trim().split_once(' ')?;
                (quota.parse().ok()?, period.parse().ok()?)
            }
        };
        (period > 0).then(|| quota as f64 / period as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;
    const HOST: u64 = 16 * 1024 * MIB;

    fn tree(files: &[(&str, String)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    fn group(dir: &str, files: [(&str, u64); 2], cached: &str) -> Vec<(&'static str, String)> {
        let name = |file: &str| -> &'static str { format!("sys/fs/cgroup/{dir}{file}").leak() };
        let mut all: Vec<_> = files
            .iter()
            .map(|(file, value)| (name(file), format!("{value}\n")))
            .collect();
        all.push((name("memory.stat"), format!("anon 1\n{cached}\n")));
        all
    }

    const V2_MOUNT: &str =
        "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn the_tightest_group_on_the_way_up_counts() {
        let mut files = vec![
            ("proc/self/cgroup", "0::/pod/app\n".into()),
            ("proc/self/mountinfo", V2_MOUNT.into()),
        ];
        files.extend(group(
            "pod/app/",
            [("memory.max", 1024 * MIB), ("memory.current", 600 * MIB)],
            "inactive_file 0",
        ));
        let stat = format!(
            "inactive_file {}\nactive_file {}\nslab_reclaimable {}",
            50 * MIB,
            40 * MIB,
            10 * MIB
        );
        files.extend(group(
            "pod/",
            [("memory.max", 700 * MIB), ("memory.current", 650 * MIB)],
            &stat,
        ));
        let root = tree(&files);
        let expected = MemoryLimit {
            limit: 700 * MIB,
            available: 150 * MIB,
        };
        assert_eq!(
            memory_limit(root.path(), HOST),
            Some(expected),
            "the page cache counts as available"
        );
    }

    /// The kernel slows a group down above `memory.high`, long before `memory.max`.
    #[test]
    fn the_lower_of_both_limits_of_a_group_counts() {
        let mut files = vec![
            ("proc/self/cgroup", "0::/\n".into()),
            ("proc/self/mountinfo", V2_MOUNT.into()),
        ];
        files.extend(group(
            "",
            [("memory.high", 700 * MIB), ("memory.current", 650 * MIB)],
            "",
        ));
        let expected = Some(MemoryLimit {
            limit: 700 * MIB,
            available: 50 * MIB,
        });
        for max in ["max\n".to_owned(), format!("{}\n", 1024 * MIB)] {
            let with_max = [files.clone(), vec![("sys/fs/cgroup/memory.max", max)]].concat();
            assert_eq!(memory_limit(tree(&with_max).path(), HOST), expected);
        }
    }

    #[test]
    fn max_is_no_limit_and_neither_is_more_than_there_is() {
        let mut files = vec![
            ("proc/self/cgroup", "0::/\n".into()),
            ("proc/self/mountinfo", V2_MOUNT.into()),
        ];
        files.push(("sys/fs/cgroup/memory.max", "max\n".into()));
        assert_eq!(memory_limit(tree(&files).path(), HOST), None);
        files.extend(group(
            "",
            [("memory.max", 2 * HOST), ("memory.current", MIB)],
            "",
        ));
        assert_eq!(memory_limit(tree(&files).path(), HOST), None);
    }

    #[test]
    fn version_1_is_read_where_it_limits_memory() {
        let mount = "34 25 0:29 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        let groups = "9:name=systemd:/docker/abc\n4:memory:/docker/abc\n0::/elsewhere\n";
        let mut files = vec![
            ("proc/self/cgroup", groups.to_owned()),
            ("proc/self/mountinfo", format!("{V2_MOUNT}{mount}")),
        ];
        let limits = [
            ("memory.limit_in_bytes", 512 * MIB),
            ("memory.usage_in_bytes", 500 * MIB),
        ];
        files.extend(group(
            "memory/",
            limits,
            &format!("total_inactive_file {}", 88 * MIB),
        ));
        let expected = MemoryLimit {
            limit: 512 * MIB,
            available: 100 * MIB,
        };
        assert_eq!(memory_limit(tree(&files).path(), HOST), Some(expected));
    }

    #[test]
    fn without_control_groups_there_is_no_limit() {
        assert_eq!(memory_limit(tree(&[]).path(), HOST), None);
    }

    #[test]
    fn the_group_with_the_fewest_cpus_counts() {
        let group = |dir: &str, max: &str, used: u64| -> Vec<(&'static str, String)> {
            let name = |file: &str| -> &'static str { format!("sys/fs/cgroup/{dir}{file}").leak() };
            let stat = format!("usage_usec {used}\nnr_periods 20\nnr_throttled 5\n");
            let pressure = "some avg10=1.00 avg60=12.50 avg300=3.00 total=9\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
            vec![
                (name("cpu.max"), max.to_owned()),
                (name("cpu.stat"), stat),
                (name("cpu.pressure"), pressure.into()),
            ]
        };
        let mut files = vec![
            ("proc/self/cgroup", "0::/pod/app\n".into()),
            ("proc/self/mountinfo", V2_MOUNT.into()),
        ];
        files.extend(group("pod/app/", "max 100000\n", 7));
        assert_eq!(cpu(tree(&files).path()), None, "no group is limited");
        files.extend(group("pod/", "50000 100000\n", 3_000_000));
        let used = Duration::from_secs(3);
        let expected = CpuGroup {
            cores: 0.5,
            used,
            periods: 20,
            throttled: 5,
            pressure: Some(12.5),
        };
        assert_eq!(cpu(tree(&files).path()), Some(expected));
    }

    #[test]
    fn version_1_has_its_cpu_time_elsewhere() {
        let mounts = "34 25 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n35 25 0:30 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct\n";
        let files = [
            ("proc/self/cgroup", "2:cpuacct:/a\n1:cpu:/a\n0::/\n"),
            ("proc/self/mountinfo", mounts),
            ("sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "20000\n"),
            ("sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n"),
            (
                "sys/fs/cgroup/cpu/a/cpu.stat",
                "nr_periods 10\nnr_throttled 9\nthrottled_time 1\n",
            ),
            ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpuacct/a/cpuacct.usage", "2000000000\n"),
        ];
        let root = tree(&files.map(|(name, text)| (name, text.to_owned())));
        let used = Duration::from_secs(2);
        assert_eq!(
            cpu(root.path()),
            Some(CpuGroup {
                cores: 0.2,
                used,
                periods: 10,
                throttled: 9,
                pressure: None
            })
        );
    }

    #[test]
    fn the_group_nearest_to_its_tasks_counts() {
        let mut files = vec![
            ("proc/self/cgroup", "0::/a\n".into()),
            ("proc/self/mountinfo", V2_MOUNT.into()),
        ];
        for (name, text) in [
            ("a/pids.current", "3"),
            ("a/pids.max", "max"),
            ("pids.current", "90"),
            ("pids.max", "100"),
        ] {
            files.push((format!("sys/fs/cgroup/{name}").leak(), format!("{text}\n")));
        }
        assert_eq!(pids(tree(&files).path()), Some((90, 100)));
    }
}
