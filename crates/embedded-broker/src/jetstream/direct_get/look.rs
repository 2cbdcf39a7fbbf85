//! Looking at a stream for what a direct get asks for.

use super::{
    Batch, Found,
    request::{End, Start, Wanted, What},
};
use crate::jetstream::{
    store::Seq,
    stream::{Filters, Stream},
    stream_config::Storage,
};

/// Subjects of one request for the last message of each.
const MAX_SUBJECTS: usize = 1024;

impl Stream {
    /// Looks for what is wanted, and reads the beginning of it.
    pub(super) fn look(&self, wanted: &Wanted) -> Found {
        let found = match &wanted.what {
            What::At(seq) => self.get(*seq).map(|record| record.map(|record| (*seq, record))),
            What::Last(None) => Ok(None),
            What::Last(Some(filter)) => self.last(&Filters::any_of([filter.clone()]), Seq::MAX),
            What::Next(filters, start) => self.next(filters, self.place(*start)),
            What::Batch(filters, start) => return self.first_of_batch(wanted, filters, *start),
            What::LastOfEach(filters, end, from) => return self.last_of_each(wanted, filters, *end, *from),
        };
        Found::One(found.ok().flatten(), wanted.with_headers)
    }

    fn place(&self, start: Start) -> Seq {
        match start {
            Start::Seq(seq) => seq,
            Start::Time(time) => self.seq_at(time).unwrap_or(Seq::MAX),
        }
    }

    fn first_of_batch(&self, wanted: &Wanted, filters: &Filters, start: Start) -> Found {
        let (next, upto) = (self.place(start), self.last_seq());
        self.begin(Batch {
            pending: self.count(filters, next..=upto).unwrap_or(0),
            filters: filters.clone(),
            seqs: None,
            next,
            upto,
            left: wanted.most,
            bytes_left: wanted.most_bytes,
            last_sent: 0,
            with_headers: wanted.with_headers,
            multi: false,
        })
    }

    fn last_of_each(&self, wanted: &Wanted, filters: &Filters, end: End, from: Seq) -> Found {
        let upto = match end {
            // A file store of nats-server finds nothing up to a sequence that is still to come.
            End::Seq(seq) if self.storage == Storage::File && seq > self.last_seq() => {
                return Found::Status("404 No Results");
            }
            End::Seq(seq) => seq,
            End::Now => self.last_seq(),
            End::Time(time) => self.seq_at(time.saturating_add(1)).unwrap_or(1).saturating_sub(1),
        };
        let mut seqs = self.last_per_subject(filters, upto).unwrap_or_default();
        seqs.dedup();
        seqs.retain(|seq| *seq >= from);
        if seqs.len() > MAX_SUBJECTS {
            return Found::Status("413 Too Many Results");
        }
        if seqs.is_empty() {
            return Found::Status("404 No Results");
        }
        self.begin(Batch {
            filters: Filters::everything(),
            pending: seqs.len() as u64,
            seqs: Some(seqs.into()),
            next: 0,
            upto,
            left: wanted.most,
            bytes_left: wanted.most_bytes,
            last_sent: 0,
            with_headers: wanted.with_headers,
            multi: true,
        })
    }

    /// The beginning of a batch, seen at the same moment as what is in it.
    fn begin(&self, mut batch: Batch) -> Found {
        let page = self.read_batch(&mut batch);
        Found::Batch(batch, page)
    }
}
