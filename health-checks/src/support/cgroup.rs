//! Reads the memory limits of the control groups that this process is in (Linux; versions 1 and 2).

use std::path::{Path, PathBuf};

/// The tightest limit, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MemoryLimit {
    /// The most memory that the group may use.
    pub(crate) limit: u64,
    /// The memory that the group may still use. The page cache counts as available, whether its files were read once
    /// (inactive) or more often (active). So do the directory entries that the kernel keeps: it drops them before it
    /// kills a process.
    pub(crate) available: u64,
}

/// Returns the limit with the least headroom between this process's group and the root, or `None` if there is no limit.
///
/// `root` is `/` except in tests. `host` is the memory of the machine: a limit that is not below it does not count.
pub(crate) fn memory_limit(root: &Path, host: u64) -> Option<MemoryLimit> {
    let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mounts = std::fs::read_to_string(root.join("proc/self/mountinfo")).ok()?;
    let (hierarchy, group) = own_group(&groups)?;
    let (top, mount) = mounts.lines().find_map(|line| hierarchy.mount(line))?;
    let mount = root.join(mount.strip_prefix("/").unwrap_or(&mount));
    // In a container, the mount shows only a part of the tree, and the group's path may lie outside of it.
    let mut dir = group.strip_prefix(&top).map_or_else(|_| mount.clone(), |below| mount.join(below));
    let mut tightest: Option<MemoryLimit> = None;
    loop {
        if let Some(found) = hierarchy.read(&dir).filter(|found| found.limit < host)
            && tightest.is_none_or(|other| found.available < other.available)
        {
            tightest = Some(found);
        }
        if dir == mount || !dir.pop() {
            return tightest;
        }
    }
}

/// Returns the group in the hierarchy that limits memory: version 1 if it is mounted for memory, version 2 otherwise.
fn own_group(groups: &str) -> Option<(Hierarchy, PathBuf)> {
    let line = |wanted: fn(&str) -> bool| {
        let mut fields = groups.lines().map(|line| line.splitn(3, ':'));
        fields.find_map(|mut fields| {
            let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            wanted(controllers).then(|| PathBuf::from(path))
        })
    };
    let v1 = line(|controllers| controllers.split(',').any(|controller| controller == "memory"));
    v1.map(|path| (Hierarchy::V1, path)).or_else(|| Some((Hierarchy::V2, line(str::is_empty)?)))
}

#[derive(Debug, Clone, Copy)]
enum Hierarchy {
    V1,
    V2,
}

impl Hierarchy {
    /// Returns the group at the top of this hierarchy and its mount point, if this line of `mountinfo` mounts the
    /// hierarchy.
    fn mount(self, line: &str) -> Option<(PathBuf, PathBuf)> {
        let (mount, source) = line.split_once(" - ")?;
        let mut source = source.split(' ');
        let (kind, options) = (source.next()?, source.nth(1)?);
        let is_ours = match self {
            Self::V1 => kind == "cgroup" && options.split(',').any(|option| option == "memory"),
            Self::V2 => kind == "cgroup2",
        };
        let mut fields = mount.split(' ').skip(3);
        is_ours.then_some((fields.next()?.into(), fields.next()?.into()))
    }

    fn read(self, dir: &Path) -> Option<MemoryLimit> {
        let (limit, used, cached) = match self {
            Self::V1 => {
                ("memory.limit_in_bytes", "memory.usage_in_bytes", &["total_inactive_file", "total_active_file"][..])
            }
            Self::V2 => ("memory.max", "memory.current", &["inactive_file", "active_file", "slab_reclaimable"][..]),
        };
        let number = |file: &str| std::fs::read_to_string(dir.join(file)).ok()?.trim().parse::<u64>().ok();
        let limit = number(limit)?; // "max" is not a number, and means no limit
        let stat = std::fs::read_to_string(dir.join("memory.stat")).unwrap_or_default();
        let fields = stat.lines().filter_map(|line| line.split_once(' '));
        let cached = fields.filter(|(key, _)| cached.contains(key)).filter_map(|(_, bytes)| bytes.parse::<u64>().ok());
        let used = number(used)?.saturating_sub(cached.sum());
        Some(MemoryLimit { limit, available: limit.saturating_sub(used) })
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
        let mut all: Vec<_> = files.iter().map(|(file, value)| (name(file), format!("{value}\n"))).collect();
        all.push((name("memory.stat"), format!("anon 1\n{cached}\n")));
        all
    }

    const V2_MOUNT: &str = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn the_tightest_group_on_the_way_up_counts() {
        let mut files = vec![("proc/self/cgroup", "0::/pod/app\n".into()), ("proc/self/mountinfo", V2_MOUNT.into())];
        files.extend(group("pod/app/", [("memory.max", 1024 * MIB), ("memory.current", 600 * MIB)], "inactive_file 0"));
        let stat = format!("inactive_file {}\nactive_file {}\nslab_reclaimable {}", 50 * MIB, 40 * MIB, 10 * MIB);
        files.extend(group("pod/", [("memory.max", 700 * MIB), ("memory.current", 650 * MIB)], &stat));
        let root = tree(&files);
        let expected = MemoryLimit { limit: 700 * MIB, available: 150 * MIB };
        assert_eq!(memory_limit(root.path(), HOST), Some(expected), "the page cache counts as available");
    }

    #[test]
    fn max_is_no_limit_and_neither_is_more_than_there_is() {
        let mut files = vec![("proc/self/cgroup", "0::/\n".into()), ("proc/self/mountinfo", V2_MOUNT.into())];
        files.push(("sys/fs/cgroup/memory.max", "max\n".into()));
        assert_eq!(memory_limit(tree(&files).path(), HOST), None);
        files.extend(group("", [("memory.max", 2 * HOST), ("memory.current", MIB)], ""));
        assert_eq!(memory_limit(tree(&files).path(), HOST), None);
    }

    #[test]
    fn version_1_is_read_where_it_limits_memory() {
        let mount = "34 25 0:29 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        let groups = "9:name=systemd:/docker/abc\n4:memory:/docker/abc\n0::/elsewhere\n";
        let mut files =
            vec![("proc/self/cgroup", groups.to_owned()), ("proc/self/mountinfo", format!("{V2_MOUNT}{mount}"))];
        let limits = [("memory.limit_in_bytes", 512 * MIB), ("memory.usage_in_bytes", 500 * MIB)];
        files.extend(group("memory/", limits, &format!("total_inactive_file {}", 88 * MIB)));
        let expected = MemoryLimit { limit: 512 * MIB, available: 100 * MIB };
        assert_eq!(memory_limit(tree(&files).path(), HOST), Some(expected));
    }

    #[test]
    fn without_control_groups_there_is_no_limit() {
        assert_eq!(memory_limit(tree(&[]).path(), HOST), None);
    }
}
