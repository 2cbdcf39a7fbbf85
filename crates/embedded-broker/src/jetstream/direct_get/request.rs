//! What a direct get asks for, read without looking at the stream.

use busauth::SubjectFilter;
use serde::Deserialize;

use crate::jetstream::{clock, store::Seq, stream::Filters};

/// The body of a request. Unknown members are ignored here, as nats-server does.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Request {
    seq: Option<u64>,
    last_by_subj: Option<String>,
    next_by_subj: Option<String>,
    start_time: Option<String>,
    batch: Option<i64>,
    max_bytes: Option<i64>,
    multi_last: Option<Vec<String>>,
    up_to_seq: Option<u64>,
    up_to_time: Option<String>,
    no_hdr: Option<bool>,
}

/// What is asked for.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) what: What,
    pub(super) with_headers: bool,
    /// Of a batch: messages and bytes.
    pub(super) most: usize,
    pub(super) most_bytes: usize,
}

#[derive(Debug)]
pub(super) enum What {
    /// The message at a sequence.
    At(Seq),
    /// The last message of a subject; none is like this when there is no filter.
    Last(Option<SubjectFilter>),
    /// The first message from a place on.
    Next(Filters, Start),
    /// Several from a place on.
    Batch(Filters, Start),
    /// The last message of each subject, up to a place; those from a sequence on.
    LastOfEach(Filters, End, Seq),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Start {
    Seq(Seq),
    /// Nanoseconds since 1970.
    Time(i64),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    Now,
    Seq(Seq),
    /// Nanoseconds since 1970.
    Time(i64),
}

/// Why a request cannot be answered.
type Status = &'static str;

const BAD: Status = "408 Bad Request";
const EMPTY: Status = "408 Empty Request";
const MALFORMED: Status = "408 Malformed Request";

impl Wanted {
    /// Reads a request: a body, and a subject of which the last message is wanted.
    pub(super) fn read(body: &[u8], last_of: Option<&str>) -> Result<Self, Status> {
        let mut request = match body.trim_ascii().first() {
            None if last_of.is_some() => Request::default(),
            None => return Err(EMPTY),
            // A list is none, also where it could be read as one.
            Some(b'[') => return Err(MALFORMED),
            Some(_) => serde_json::from_slice(body).map_err(|_| MALFORMED)?,
        };
        if let Some(subject) = last_of {
            if filled(request.last_by_subj.as_deref()).is_some() {
                return Err(BAD);
            }
            request.last_by_subj = Some(subject.to_owned());
        }
        let several = request.multi_last.as_deref().filter(|subjects| !subjects.is_empty());
        let (what, most) = match several {
            Some(subjects) => (request.last_of_each(subjects)?, positive(request.batch)),
            // Less than none is none, and is answered as the end of a batch.
            None => (request.simple()?, request.batch.map_or(0, |most| usize::try_from(most).unwrap_or(0))),
        };
        Ok(Self {
            what,
            with_headers: !request.no_hdr.unwrap_or(false),
            most,
            most_bytes: positive(request.max_bytes),
        })
    }

    /// What it takes in a queue, about.
    pub(super) fn bytes(&self) -> usize {
        let of = |filters: &Filters| filters.iter().map(|filter| filter.as_str().len() + 64).sum();
        match &self.what {
            What::At(_) => 0,
            What::Last(filter) => filter.as_ref().map_or(0, |filter| filter.as_str().len()),
            What::Next(filters, _) | What::Batch(filters, _) | What::LastOfEach(filters, ..) => of(filters),
        }
    }
}

impl Request {
    /// One message, or a batch of those that follow one another.
    fn simple(&self) -> Result<What, Status> {
        let time = match filled(self.start_time.as_deref()) {
            Some(text) => Some(clock::parse(text).ok_or(MALFORMED)?),
            None => None,
        };
        let seq = self.seq.filter(|seq| *seq > 0);
        let (last_by, next_by) = (filled(self.last_by_subj.as_deref()), filled(self.next_by_subj.as_deref()));
        let batch = self.batch.filter(|batch| *batch != 0);
        if seq.is_none() && last_by.is_none() && next_by.is_none() && time.is_none() {
            return Err(EMPTY);
        }
        if (seq.is_some() && (last_by.is_some() || time.is_some()))
            || (last_by.is_some() && (next_by.is_some() || time.is_some() || batch.is_some()))
        {
            return Err(BAD);
        }
        if let Some(subject) = last_by {
            return Ok(What::Last(subject.parse().ok()));
        }
        let filters = match next_by {
            None => Filters::everything(),
            Some(filter) => Filters::any_of([filter.parse::<SubjectFilter>().map_err(|_| BAD)?]),
        };
        let start = time.map_or(Start::Seq(seq.unwrap_or(1)), Start::Time);
        Ok(match (batch, seq, next_by) {
            (Some(_), ..) => What::Batch(filters, start),
            (None, Some(seq), None) => What::At(seq),
            (None, ..) => What::Next(filters, start),
        })
    }

    fn last_of_each(&self, subjects: &[String]) -> Result<What, Status> {
        let filters: Result<Vec<SubjectFilter>, _> = subjects.iter().map(|subject| subject.parse()).collect();
        let time = filled(self.up_to_time.as_deref());
        let seq = self.up_to_seq.filter(|seq| *seq > 0);
        let conflict = (time.is_some() && seq.is_some())
            || filled(self.last_by_subj.as_deref()).is_some()
            || filled(self.next_by_subj.as_deref()).is_some();
        let (Ok(filters), false) = (filters, conflict) else { return Err(BAD) };
        let end = match (time, seq) {
            (Some(text), _) => End::Time(clock::parse(text).ok_or(MALFORMED)?),
            (None, Some(seq)) => End::Seq(seq),
            (None, None) => End::Now,
        };
        Ok(What::LastOfEach(Filters::any_of(filters), end, self.seq.unwrap_or(0)))
    }
}

fn filled(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

/// A bound; none at all when it is not positive.
fn positive(bound: Option<i64>) -> usize {
    bound.and_then(|most| usize::try_from(most).ok()).filter(|most| *most > 0).unwrap_or(usize::MAX)
}
