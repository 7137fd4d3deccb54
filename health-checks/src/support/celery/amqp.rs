//! Celery over RabbitMQ.

use std::time::Duration;

use health_core::Result;
use lapin::message::Delivery;
use lapin::options::{
    BasicConsumeOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions,
    QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldArray, FieldTable};
use lapin::{BasicProperties, Channel, Consumer, ExchangeKind};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::message::{Broadcast, Task};
use super::redis::Results;
use super::{Outcome, Replies, Wait, not_understood};
use crate::support::amqp::{Connection, describe, publish};

/// The extra time after which the broker drops an expired task. A worker would revoke it, but there
/// may be no worker.
const LEFT_OVER: Duration = Duration::from_mins(1);

pub(super) async fn run(
    connection: &Connection,
    results: Option<&mut Results<'_>>,
    task: &Task<'_>,
    max_wait: Duration,
) -> Result<Outcome> {
    let deadline = Instant::now() + max_wait;
    let channel = confirming_channel(connection).await?;
    let reply_to = Uuid::new_v4().to_string();
    let mut answers = consume_own_queue(&channel, &reply_to).await?;
    let milliseconds = (task.expires_in + LEFT_OVER).as_millis().to_string();
    let properties = json_properties(&task.headers())
        .with_correlation_id(task.id.as_str().into())
        .with_reply_to(reply_to.as_str().into())
        .with_expiration(milliseconds.into());
    let is_queued = send(
        connection,
        &channel,
        "",
        task.queue,
        &Task::body(),
        properties,
    )
    .await?;
    let answer = match results {
        _ if !is_queued => None,
        None => own_result(&mut answers, task, deadline).await?,
        Some(results) => results.wait_for(&task.id, deadline).await?,
    };
    let outcome = match answer {
        Some(answer) => Outcome::Answer(answer),
        None if has_workers(connection, task.queue).await => Outcome::Late,
        None => Outcome::NoWorker,
    };
    end(&channel).await;
    Ok(outcome)
}

async fn confirming_channel(connection: &Connection) -> Result<Channel> {
    let channel = connection.channel().await?;
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await
        .map_err(describe)?;
    Ok(channel)
}

/// Closes a channel, and with it the channel's consumer and that consumer's queue.
async fn end(channel: &Channel) {
    let _ = channel.close(200, "OK".into()).await; // an error does not matter, because the answers have arrived
}

/// Returns the worker's answer to this task, and skips answers to others.
async fn own_result(
    results: &mut Consumer,
    task: &Task<'_>,
    deadline: Instant,
) -> Result<Option<Value>> {
    while let Some(delivery) = next(results, deadline).await? {
        let is_own = delivery
            .properties
            .correlation_id()
            .as_ref()
            .is_some_and(|id| id.as_str() == task.id);
        if is_own {
            let answer: Value =
                serde_json::from_slice(&delivery.data).map_err(|_| not_understood())?;
            if super::redis::has_ended(&answer) {
                return Ok(Some(answer));
            }
        }
    }
    Ok(None)
}

/// Returns `true` if a queue has workers. This uses a channel of its own, which the broker closes
/// if the queue does not exist.
async fn has_workers(connection: &Connection, queue: &str) -> bool {
    let passive = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let look = async {
        let channel = connection.channel().await.ok()?;
        let queue = channel
            .queue_declare(queue.into(), passive, FieldTable::default())
            .await
            .ok()?;
        end(&channel).await;
        Some(queue.consumer_count() > 0)
    };
    look.await.unwrap_or(false)
}

pub(super) async fn broadcast(
    connection: &Connection,
    broadcast: &Broadcast,
    wait: Wait<'_>,
) -> Result<Replies> {
    let channel = confirming_channel(connection).await?;
    let reply_to = Uuid::new_v4().to_string();
    let queue = broadcast.queue(&reply_to);
    let replies = broadcast.replies_to();
    let questions = broadcast.exchange();
    let mut answers = consume_own_queue(&channel, &queue).await?;
    declare(&channel, &replies, ExchangeKind::Direct).await?;
    declare(&channel, &questions, ExchangeKind::Fanout).await?;
    bind(&channel, &queue, &replies, &reply_to).await?;
    let deadline = Instant::now() + wait.timeout;
    let mut found = Replies::default();
    for body in broadcast.bodies(&reply_to) {
        // A worker's own queue exists as long as its connection. Without any such queue, the broker
        // returns the message.
        let properties = json_properties(&broadcast.headers());
        found.is_heard |= send(connection, &channel, &questions, "", &body, properties).await?;
    }
    while found.is_heard && !(wait.enough)(&found.answers) {
        let Some(delivery) = next(&mut answers, deadline).await? else {
            break;
        };
        found
            .answers
            .extend(broadcast.replies(ticket(&delivery), &delivery.data));
    }
    for queue in wait.queues {
        if has_workers(connection, queue).await {
            found.held.insert(queue.clone());
        }
    }
    end(&channel).await;
    Ok(found)
}

/// Consumes a queue that ends with its consumer. The queue is exclusive, because RabbitMQ 4.3
/// refuses other queues that are not durable.
async fn consume_own_queue(channel: &Channel, queue: &str) -> Result<Consumer> {
    let options = QueueDeclareOptions {
        exclusive: true,
        auto_delete: true,
        ..QueueDeclareOptions::default()
    };
    channel
        .queue_declare(queue.into(), options, FieldTable::default())
        .await
        .map_err(describe)?;
    let options = BasicConsumeOptions {
        no_ack: true,
        ..BasicConsumeOptions::default()
    };
    channel
        .basic_consume(queue.into(), "".into(), options, FieldTable::default())
        .await
        .map_err(describe)
}

/// Declares an exchange with the flags that kombu uses. The broker refuses other flags.
async fn declare(channel: &Channel, exchange: &str, kind: ExchangeKind) -> Result {
    let options = ExchangeDeclareOptions::default();
    channel
        .exchange_declare(exchange.into(), kind, options, FieldTable::default())
        .await
        .map_err(describe)
}

async fn bind(channel: &Channel, queue: &str, exchange: &str, key: &str) -> Result {
    let options = QueueBindOptions::default();
    channel
        .queue_bind(
            queue.into(),
            exchange.into(),
            key.into(),
            options,
            FieldTable::default(),
        )
        .await
        .map_err(describe)
}

/// Publishes a message. Returns `true` if it went into a queue.
async fn send(
    connection: &Connection,
    channel: &Channel,
    exchange: &str,
    key: &str,
    body: &Value,
    properties: BasicProperties,
) -> Result<bool> {
    let body = body.to_string();
    publish(
        connection,
        channel,
        exchange,
        key,
        body.as_bytes(),
        properties,
    )
    .await?
    .map_err(describe)
}

/// Returns the next message, or `None` when the time is up or the broker has ended the consumer.
async fn next(consumer: &mut Consumer, deadline: Instant) -> Result<Option<Delivery>> {
    use futures::StreamExt as _;
    match timeout_at(deadline, consumer.next()).await {
        Ok(Some(delivery)) => delivery.map(Some).map_err(describe),
        Ok(None) | Err(_) => Ok(None),
    }
}

fn ticket(delivery: &Delivery) -> Option<&str> {
    match delivery
        .properties
        .headers()
        .as_ref()?
        .inner()
        .get("ticket")?
    {
        AMQPValue::LongString(ticket) => std::str::from_utf8(ticket.as_bytes()).ok(),
        _ => None,
    }
}

fn json_properties(headers: &Value) -> BasicProperties {
    let AMQPValue::FieldTable(headers) = to_amqp(headers) else {
        return BasicProperties::default();
    };
    BasicProperties::default()
        .with_content_type("application/json".into())
        .with_content_encoding("utf-8".into())
        .with_delivery_mode(2)
        .with_priority(0)
        .with_headers(headers)
}

fn to_amqp(value: &Value) -> AMQPValue {
    match value {
        Value::Null => AMQPValue::Void,
        Value::Bool(bool) => AMQPValue::Boolean(*bool),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => AMQPValue::LongLongInt(integer),
            None => AMQPValue::Double(number.as_f64().unwrap_or_default()),
        },
        Value::String(string) => AMQPValue::LongString(string.as_str().into()),
        Value::Array(values) => AMQPValue::FieldArray(FieldArray::from(
            values.iter().map(to_amqp).collect::<Vec<_>>(),
        )),
        Value::Object(values) => {
            let mut table = FieldTable::default();
            for (key, value) in values {
                table.insert(key.as_str().into(), to_amqp(value));
            }
            AMQPValue::FieldTable(table)
        }
    }
}
