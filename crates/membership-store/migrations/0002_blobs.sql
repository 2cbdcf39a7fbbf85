-- What is stored of the files in rooms; their bytes are kept elsewhere, under the same digest.
CREATE TABLE blobs (
    room   INTEGER NOT NULL REFERENCES rooms (key) ON DELETE CASCADE,
    digest TEXT NOT NULL,
    user   INTEGER NOT NULL REFERENCES users (key),
    size   INTEGER NOT NULL CHECK (size >= 0),
    at     INTEGER NOT NULL,
    PRIMARY KEY (room, digest)
) STRICT, WITHOUT ROWID;

-- Both sums of a quota are answered from an index alone.
CREATE INDEX blobs_by_room ON blobs (room, size);
CREATE INDEX blobs_by_user ON blobs (user, size);
