//! The one writing connection, and transactions on it.
//!
//! A transaction takes the connection out of its slot and gives it back when it has ended well. One that
//! fails, or is dropped, leaves the slot empty: SQLite rolls back when the connection closes, and the next
//! write connects anew. So no write ever runs in a connection whose state is in doubt.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, SqliteConnection};
use tokio::sync::{Mutex, MutexGuard};

use crate::StoreError;

#[derive(Debug)]
enum Slot {
    Idle(SqliteConnection),
    Empty,
    Closed,
}

/// Where the writing connection is kept between writes.
#[derive(Debug)]
pub(super) struct WriterSlot {
    options: SqliteConnectOptions,
    slot: Mutex<Slot>,
}

/// The right to write next. Writers get it in the order in which they asked.
pub(super) struct Turn<'a> {
    options: &'a SqliteConnectOptions,
    slot: MutexGuard<'a, Slot>,
}

/// A transaction that holds the write lock.
pub(super) struct Transaction<'a> {
    turn: Turn<'a>,
    connection: SqliteConnection,
}

impl WriterSlot {
    pub(super) fn new(options: SqliteConnectOptions, connection: SqliteConnection) -> Self {
        Self { options, slot: Mutex::new(Slot::Idle(connection)) }
    }

    /// Waits for the writers before.
    pub(super) async fn turn(&self) -> Result<Turn<'_>, StoreError> {
        let slot = self.slot.lock().await;
        if matches!(*slot, Slot::Closed) {
            return Err(StoreError::Unavailable);
        }
        Ok(Turn { options: &self.options, slot })
    }

    /// Waits for the writers before, then lets nobody write any more; gives the connection out to be closed.
    pub(super) async fn close(&self) -> Option<SqliteConnection> {
        match std::mem::replace(&mut *self.slot.lock().await, Slot::Closed) {
            Slot::Idle(connection) => Some(connection),
            Slot::Empty | Slot::Closed => None,
        }
    }
}

impl<'a> Turn<'a> {
    /// Begins a transaction.
    pub(super) async fn begin(mut self) -> Result<Transaction<'a>, StoreError> {
        let mut connection = match std::mem::replace(&mut *self.slot, Slot::Empty) {
            Slot::Idle(connection) => connection,
            Slot::Empty | Slot::Closed => self.options.connect().await?,
        };
        sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await?;
        Ok(Transaction { turn: self, connection })
    }
}

impl<'a> Transaction<'a> {
    /// The connection, for the transaction's statements.
    pub(super) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }

    /// Makes the writes durable. The turn is given back so that the view can be changed before the next writer.
    pub(super) async fn commit(mut self) -> Result<Turn<'a>, StoreError> {
        sqlx::query("COMMIT").execute(&mut self.connection).await?;
        *self.turn.slot = Slot::Idle(self.connection);
        Ok(self.turn)
    }
}
