//! A Redis cluster of two masters.

use std::process::Command;

use super::host::{Env, Tool, find};
use super::probe;
use super::service::{Service, server};
use super::state::Home;
use crate::Outcome;

/// The first node, which has the lower half of the slots.
pub(super) const FIRST: Node = Node {
    name: "cluster",
    needs: &[],
    slots: "0 8191",
};

/// The second node, which has the upper half and meets the first.
pub(super) const SECOND: Node = Node {
    name: "cluster-2",
    needs: &["cluster"],
    slots: "8192 16383",
};

/// A node of the cluster.
#[derive(Debug)]
pub(super) struct Node {
    name: &'static str,
    needs: &'static [&'static str],
    /// The first and the last slot.
    slots: &'static str,
}

impl Service for Node {
    fn name(&self) -> &'static str {
        self.name
    }

    fn needs(&self) -> &'static [&'static str] {
        self.needs
    }

    fn tools(&self) -> &'static [Tool] {
        &[("redis-server", "redis-server")]
    }

    fn ports(&self) -> &'static [&'static str] {
        &["port", "bus_port"]
    }

    fn command(&self, home: &Home) -> Result<Command, String> {
        let mut command = server(find("redis-server")?, home);
        command.args([
            "--bind",
            "127.0.0.1",
            "--port",
            home.port(),
            "--cluster-port",
            home.get("bus_port"),
        ]);
        command.args([
            "--cluster-enabled",
            "yes",
            "--save",
            "",
            "--appendonly",
            "no",
            "--cluster-node-timeout",
            "60000",
        ]);
        Ok(command)
    }

    /// The first node is up once it has its slots, the second once the two form a cluster. A step
    /// that was already taken returns an error, which does not matter.
    fn answers(&self, home: &Home) -> Outcome {
        let give = format!("CLUSTER ADDSLOTSRANGE {}\r\nPING\r\nQUIT\r\n", self.slots);
        probe::talk(home.port(), give.as_bytes(), b"+PONG")?;
        if self.needs.is_empty() {
            return Ok(());
        }
        let first = Home::load(FIRST.name);
        let meet = format!(
            "CLUSTER MEET 127.0.0.1 {} {}\r\nPING\r\nQUIT\r\n",
            first.port(),
            first.get("bus_port")
        );
        probe::talk(home.port(), meet.as_bytes(), b"+PONG")?;
        for node in [home, &first] {
            probe::talk(
                node.port(),
                b"CLUSTER INFO\r\nQUIT\r\n",
                b"cluster_state:ok",
            )?;
        }
        Ok(())
    }

    fn env(&self, home: &Home) -> Env {
        let variable = if self.needs.is_empty() {
            "CLUSTER_URL"
        } else {
            "CLUSTER_2_URL"
        };
        vec![(variable, format!("redis://{}/0", home.address()))]
    }
}
