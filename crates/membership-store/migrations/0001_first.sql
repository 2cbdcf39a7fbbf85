-- The number of this file is the schema's version. A released file is never changed; the next one is added.
-- Records are versioned JSON (record.rs); columns beside them are what is searched or must be unique.

-- "UNIB": tells our files from other programs' databases.
PRAGMA application_id = 0x554E4942;

CREATE TABLE users (
    key    INTEGER PRIMARY KEY,
    id     TEXT NOT NULL UNIQUE,
    handle TEXT NOT NULL UNIQUE,
    login  TEXT NOT NULL UNIQUE,
    record TEXT NOT NULL
) STRICT;

CREATE TABLE rooms (
    key     INTEGER PRIMARY KEY,
    id      TEXT NOT NULL UNIQUE,
    -- Lower case: subjects are compared without regard to case.
    subject TEXT NOT NULL UNIQUE,
    record  TEXT NOT NULL
) STRICT;

-- A deleted room: its id is used up, its last entry stays.
CREATE TABLE tombstones (
    id     TEXT PRIMARY KEY,
    record TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE room_log (
    room INTEGER NOT NULL REFERENCES rooms (key) ON DELETE CASCADE,
    seq  INTEGER NOT NULL CHECK (seq >= 1),
    jws  TEXT NOT NULL,
    PRIMARY KEY (room, seq)
) STRICT;

-- The state after entry seq; later entries are applied to it when it is read.
CREATE TABLE room_states (
    room  INTEGER PRIMARY KEY REFERENCES rooms (key) ON DELETE CASCADE,
    seq   INTEGER NOT NULL,
    state TEXT NOT NULL
) STRICT;

CREATE TABLE members (
    room INTEGER NOT NULL REFERENCES rooms (key) ON DELETE CASCADE,
    user INTEGER NOT NULL REFERENCES users (key),
    role TEXT NOT NULL CHECK (role IN ('owner', 'writer', 'reader')),
    PRIMARY KEY (room, user)
) STRICT, WITHOUT ROWID;

CREATE TABLE sealed_keys (
    room   INTEGER NOT NULL REFERENCES rooms (key) ON DELETE CASCADE,
    user   INTEGER NOT NULL REFERENCES users (key),
    epoch  INTEGER NOT NULL,
    sealed TEXT NOT NULL,
    PRIMARY KEY (room, user, epoch)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    at     INTEGER NOT NULL,
    actor  TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT,
    detail TEXT
) STRICT;

CREATE INDEX audit_by_actor ON audit (actor, seq);
CREATE INDEX audit_by_target ON audit (target, seq) WHERE target IS NOT NULL;

CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE (ABORT, 'the audit is append-only');
END;

CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
BEGIN
    SELECT RAISE (ABORT, 'the audit is append-only');
END;

-- Facts about the bus as a whole, such as when it was first started.
CREATE TABLE facts (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
