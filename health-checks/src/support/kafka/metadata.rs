//! The request for metadata, in its versions 1 and 4.

use super::wire::{Reader, Writer};

/// The version that creates no topics. Brokers have it since Kafka 0.11.
const CREATES_NONE: i16 = 4;

/// The version that older brokers have. It requests all topics, because naming one may create it.
const OLD: i16 = 1;

/// The metadata of a cluster.
pub(crate) struct Metadata {
    /// The number of brokers that are there.
    pub(crate) brokers: usize,
    /// The number of the controller, or -1.
    pub(crate) controller: i32,
    pub(crate) topics: Vec<Topic>,
}

pub(crate) struct Topic {
    /// An error code of the protocol, or 0.
    pub(crate) error: i16,
    pub(crate) name: String,
    pub(crate) partitions: Vec<Partition>,
}

pub(crate) struct Partition {
    /// An error code of the protocol, or 0.
    pub(crate) error: i16,
    pub(crate) number: i32,
    /// The number of the broker that leads it, or -1.
    pub(crate) leader: i32,
    pub(crate) replicas: usize,
    pub(crate) in_sync: usize,
}

/// Chooses a version within the range that the broker knows.
pub(super) fn version((min, max): (i16, i16)) -> Option<i16> {
    [CREATES_NONE, OLD]
        .into_iter()
        .find(|version| (min..=max).contains(version))
}

/// Returns the body of a request for these topics, and for none if there are none.
pub(super) fn request(version: i16, topics: &[String]) -> Vec<u8> {
    let mut body = Writer::default();
    if version == OLD && !topics.is_empty() {
        body.i32(-1);
        return body.with(&[]);
    }
    body.count(topics.len());
    for topic in topics {
        body.text(topic);
    }
    if version == CREATES_NONE {
        body.bool(false);
    }
    body.with(&[])
}

/// Parses the answer to a request of this version.
pub(super) fn parse(answer: &mut Reader<'_>, version: i16) -> Option<Metadata> {
    let is_old = version == OLD;
    if !is_old {
        answer.i32()?; // the time for which the broker has throttled this client
    }
    let brokers = answer.array(|it| {
        it.i32()?; // number
        it.text()?; // host
        it.i32()?; // port
        it.text() // rack
    })?;
    if !is_old {
        answer.text()?; // the name of the cluster
    }
    Some(Metadata {
        brokers: brokers.len(),
        controller: answer.i32()?,
        topics: answer.array(topic)?,
    })
}

fn topic(answer: &mut Reader<'_>) -> Option<Topic> {
    let error = answer.i16()?;
    let name = answer.text()?;
    answer.bool()?; // an internal topic
    let partitions = answer.array(partition)?;
    Some(Topic {
        error,
        name,
        partitions,
    })
}

fn partition(answer: &mut Reader<'_>) -> Option<Partition> {
    Some(Partition {
        error: answer.i16()?,
        number: answer.i32()?,
        leader: answer.i32()?,
        replicas: answer.array(Reader::i32)?.len(),
        in_sync: answer.array(Reader::i32)?.len(),
    })
}
