//! Reads the texts of cases.

use super::{
    case::{Ack, Case, Does, Only, Publish, Restart, Step},
    server::Which,
};

/// The cases of a file, or what is wrong with it.
pub(super) fn file(text: &str) -> Result<Vec<Case>, String> {
    let mut cases: Vec<Case> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with("--") {
            continue;
        }
        let fail = |what: &str| format!("line {}: {what}: {trimmed}", number + 1);
        if let Some(name) = trimmed.strip_prefix("==") {
            let name = name.trim().to_owned();
            cases.push(Case { name, only: None, metadata: false, steps: Vec::new() });
            continue;
        }
        let case = cases.last_mut().ok_or_else(|| fail("a step before the first case"))?;
        let (word, rest) = word(trimmed);
        match (word, case.steps.last_mut()) {
            ("metadata", None) => case.metadata = true,
            ("only", None) => case.only = Some(only(rest).ok_or_else(|| fail("only for whom"))?),
            ("|" | "=" | "let" | "show", Some(step)) => {
                more(step, word, rest).ok_or_else(|| fail("not understood"))?;
                step.lines.1 = number + 1;
            }
            _ => case.steps.push(step(trimmed, number).ok_or_else(|| fail("not a step"))?),
        }
    }
    Ok(cases)
}

/// The first word, and what comes after it.
fn word(text: &str) -> (&str, &str) {
    let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
    (first, rest.trim())
}

fn only(rest: &str) -> Option<Only> {
    let (which, why) = word(rest);
    let which = match which {
        "here" => Which::Here,
        "there" => Which::There,
        _ => return None,
    };
    Some(Only { which, why: why.to_owned() })
}

/// A line that says more about the step above it.
fn more(step: &mut Step, kind: &str, rest: &str) -> Option<()> {
    match kind {
        "|" => step.headers.push(rest.to_owned()),
        "=" => step.expected.get_or_insert_default().push(rest.to_owned()),
        "show" => step.show.extend(rest.split_whitespace().map(ToOwned::to_owned)),
        _ => {
            let (name, path) = rest.split_once(' ')?;
            step.lets.push((name.to_owned(), path.to_owned()));
        }
    }
    Some(())
}

fn step(text: &str, number: usize) -> Option<Step> {
    let mut rest = text;
    let mut connection = "a";
    if let Some(named) = rest.strip_prefix('@') {
        (connection, rest) = word(named);
    }
    let mut repeat = 1;
    if let ("each", counted) = word(rest) {
        let (count, repeated) = word(counted);
        repeat = count.parse().ok()?;
        rest = repeated;
    }
    Some(Step {
        lines: (number, number + 1),
        text: text.to_owned(),
        connection: connection.to_owned(),
        repeat,
        does: does(rest)?,
        headers: Vec::new(),
        lets: Vec::new(),
        show: Vec::new(),
        expected: None,
    })
}

fn does(text: &str) -> Option<Does> {
    let (verb, rest) = word(text);
    let named = |rest: &str| {
        let (name, rest) = word(rest);
        (!name.is_empty()).then(|| (name.to_owned(), rest.to_owned()))
    };
    Some(match verb {
        "req" => Does::Request(publish(rest)?),
        "ok" => Does::Ok(publish(rest)?),
        "until" => Does::Until(publish(rest)?),
        "silent" => Does::Silent(publish(rest)?),
        "put" => Does::Put(publish(rest)?),
        "ask" => {
            let (inbox, rest) = named(rest)?;
            Does::Ask { inbox, publish: publish(&rest)? }
        }
        "sub" => {
            let (name, rest) = named(rest)?;
            let (subject, group) = named(&rest)?;
            Does::Subscribe { name, subject, group: (!group.is_empty()).then_some(group) }
        }
        "unsub" => Does::Unsubscribe(named(rest)?.0),
        "get" => {
            let (name, count) = named(rest)?;
            Does::Get { name, count: if count.is_empty() { 1 } else { count.parse().ok()? } }
        }
        "ack" => Does::Ack(ack(rest)?),
        "ackreq" => Does::AckRequest(ack(rest)?),
        "ackask" => {
            let (inbox, rest) = named(rest)?;
            Does::AckAsk { inbox, ack: ack(&rest)? }
        }
        "answer" => {
            let (name, body) = named(rest)?;
            Does::Answer { name, body }
        }
        "err" => Does::Error,
        "mark" => Does::Mark(named(rest)?.0),
        "sync" => Does::Sync,
        "close" => Does::Close,
        "restart" => match rest {
            "kill" => Does::Restart(Restart::Kill),
            "stop" => Does::Restart(Restart::Stop),
            _ => return None,
        },
        _ => return None,
    })
}

fn publish(rest: &str) -> Option<Publish> {
    let (subject, body) = word(rest);
    if subject.is_empty() {
        return None;
    }
    let subject = match subject.strip_prefix('+') {
        Some(api) => format!("$JS.API.{api}"),
        None => subject.to_owned(),
    };
    let body = match body.strip_prefix('*').and_then(|count| count.parse().ok()) {
        Some(count) => "x".repeat(count),
        None => body.to_owned(),
    };
    Some(Publish { subject, body })
}

fn ack(rest: &str) -> Option<Ack> {
    let (consumer, rest) = word(rest);
    let (sequence, body) = word(rest);
    if sequence.is_empty() {
        return None;
    }
    let body = match body {
        "" => "+ACK",
        "empty" => "",
        _ => body,
    };
    Some(Ack { consumer: consumer.to_owned(), sequence: sequence.to_owned(), body: body.to_owned() })
}
