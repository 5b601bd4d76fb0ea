// Schema of the file of kept sums, which stands beside the ledger. Everything in the file follows from the ledger's rows, except what
// retention has deleted there. Another version of the schema is built anew.

/** `BRSU`: tells the file from a ledger and from files of other applications. */
export const SUMS_APPLICATION_ID = 0x42525355

/** Counts up with every change of the schema, and of what its columns mean. */
export const SUMS_VERSION = 1

/**
 * `sum`: one row for each value of a dimension and each span of time; `at` is the beginning of the span and `tier` its length, both in
 * quarter hours (UTC). `calls`: packed calls by subject and day (UTC); `part` 0 grows, larger parts do not. Both begin with the time, so
 * that the calls of the present are written to few pages. `past_calls`: the same once a day is over, written once and in order, which
 * leaves no page half empty.
 */
export const SUMS_SCHEMA = `
  CREATE TABLE name (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, text TEXT NOT NULL, UNIQUE (kind, text));

  CREATE TABLE sum (
    simulated INTEGER NOT NULL,
    dimension TEXT NOT NULL,
    tier INTEGER NOT NULL,
    at INTEGER NOT NULL,
    value TEXT NOT NULL,
    requests INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost_nano_usd INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    canceled INTEGER NOT NULL,
    expired INTEGER NOT NULL,
    estimated INTEGER NOT NULL,
    upper_bound INTEGER NOT NULL,
    items INTEGER NOT NULL,
    item_cost_nano_usd INTEGER NOT NULL,
    latency BLOB,
    first_token BLOB,
    PRIMARY KEY (simulated, dimension, tier, at, value)
  ) WITHOUT ROWID;

  CREATE TABLE calls (
    simulated INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    day INTEGER NOT NULL,
    subject TEXT NOT NULL,
    part INTEGER NOT NULL,
    calls BLOB NOT NULL,
    PRIMARY KEY (simulated, kind, day, subject, part)
  ) WITHOUT ROWID;

  CREATE TABLE past_calls (
    day INTEGER NOT NULL,
    simulated INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    subject TEXT NOT NULL,
    part INTEGER NOT NULL,
    calls BLOB NOT NULL,
    PRIMARY KEY (day, simulated, kind, subject, part)
  ) WITHOUT ROWID;

  -- one row: the last entry that is counted, the quarter hour before which there are sums by week, and the day before which calls are past
  CREATE TABLE counted (
    seq INTEGER NOT NULL, call_id TEXT NOT NULL, weeks_until INTEGER NOT NULL, past_until INTEGER NOT NULL);
  INSERT INTO counted VALUES (0, '', 0, 0);
`
