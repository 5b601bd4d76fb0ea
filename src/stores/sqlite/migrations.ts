// Migrations of the SQLite file, in order. A migration that was released is never edited: another one is added.

/** `BRSR`: tells our files from those of other applications. */
export const APPLICATION_ID = 0x42525352

/**
 * Entry ids grow with the wall clock (milliseconds × 1024, and at least the previous id plus one). A span of time is a span of
 * ids and needs no index. A call id is a UUIDv7, so its row lies a little after the time in it. An index keeps only appended
 * calls unique, because their sender may send them twice. Rows without `settled_seq` are open.
 */
const INITIAL_SCHEMA = `
  CREATE TABLE entry (
    id INTEGER PRIMARY KEY,
    call_id TEXT NOT NULL,
    appended INTEGER NOT NULL DEFAULT 0,
    organisation TEXT,
    project TEXT,
    key TEXT,
    user TEXT,
    thread TEXT,
    agent TEXT,
    task TEXT,
    operation TEXT,
    dialect TEXT NOT NULL,
    provider TEXT NOT NULL,
    requested_model TEXT NOT NULL,
    model TEXT NOT NULL,
    reserved_at_ms INTEGER NOT NULL,
    day TEXT NOT NULL,
    reserved_tokens INTEGER NOT NULL,
    reserved_cost_nano_usd INTEGER NOT NULL,
    price_version TEXT,
    cost_known INTEGER NOT NULL,
    streaming INTEGER NOT NULL,
    cap_asked INTEGER,
    cap_injected INTEGER,
    simulated INTEGER NOT NULL,
    settled_seq INTEGER,
    ending TEXT,
    certainty TEXT,
    settled_at_ms INTEGER,
    latency_ms INTEGER,
    time_to_first_token_ms INTEGER,
    answered_model TEXT,
    input_tokens INTEGER DEFAULT 0,
    cache_read_tokens INTEGER DEFAULT 0,
    cache_write_5m_tokens INTEGER DEFAULT 0,
    cache_write_1h_tokens INTEGER DEFAULT 0,
    output_tokens INTEGER DEFAULT 0,
    audio_input_tokens INTEGER DEFAULT 0,
    audio_cache_read_tokens INTEGER DEFAULT 0,
    audio_output_tokens INTEGER DEFAULT 0,
    image_input_tokens INTEGER DEFAULT 0,
    image_output_tokens INTEGER DEFAULT 0,
    web_searches INTEGER DEFAULT 0,
    billed_requests INTEGER DEFAULT 0,
    reasoning_tokens INTEGER DEFAULT 0,
    input_cost_nano_usd INTEGER DEFAULT 0,
    output_cost_nano_usd INTEGER DEFAULT 0,
    cost_nano_usd INTEGER DEFAULT 0,
    -- JSON, or the duration of the one good attempt at the provider and model above
    attempts,
    upstream_limits TEXT,
    metadata TEXT,
    -- JSON [[meter key, amount, 1 if in flight], ...]: what the call holds while it is open
    charges TEXT NOT NULL,
    -- room for what settling adds, so that rows do not outgrow their pages
    pad BLOB
  );
  CREATE UNIQUE INDEX entry_settled_seq ON entry (settled_seq) WHERE settled_seq IS NOT NULL;
  CREATE INDEX entry_open ON entry (settled_seq) WHERE settled_seq IS NULL;
  CREATE UNIQUE INDEX entry_appended ON entry (call_id) WHERE appended = 1;

  CREATE TABLE level (
    key TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    -- window: settled, reserved, ends at (null: never); bucket: used, remainder, at, taken altogether
    used INTEGER NOT NULL,
    rest INTEGER NOT NULL,
    at_ms INTEGER,
    taken INTEGER NOT NULL
  ) WITHOUT ROWID;

  CREATE TABLE rollup (
    span TEXT NOT NULL,
    key TEXT NOT NULL,
    simulated INTEGER NOT NULL,
    id NOT NULL,
    requests INTEGER NOT NULL,
    cost_nano_usd INTEGER NOT NULL,
    exact INTEGER NOT NULL,
    estimated INTEGER NOT NULL,
    upper_bound INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL,
    cache_write_5m_tokens INTEGER NOT NULL,
    cache_write_1h_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    audio_input_tokens INTEGER NOT NULL,
    audio_cache_read_tokens INTEGER NOT NULL,
    audio_output_tokens INTEGER NOT NULL,
    image_input_tokens INTEGER NOT NULL,
    image_output_tokens INTEGER NOT NULL,
    PRIMARY KEY (span, key, simulated, id)
  ) WITHOUT ROWID;
  CREATE INDEX rollup_minute ON rollup (id) WHERE span = 'minute';

  CREATE TABLE refusal (reason TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;

  -- up to which settled_seq the rollups have counted
  CREATE TABLE mark (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;

  CREATE TABLE document (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    value TEXT,
    version INTEGER NOT NULL,
    PRIMARY KEY (kind, id)
  ) WITHOUT ROWID;

  CREATE TABLE audit (
    version INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    actor TEXT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    before TEXT,
    after TEXT
  );
`

/** Digests of idempotency keys. Few calls have a key, and the index holds only those. */
const IDEMPOTENCY = `
  ALTER TABLE entry ADD COLUMN idempotency_key TEXT;
  ALTER TABLE entry ADD COLUMN idempotency_body TEXT;
  CREATE INDEX entry_idempotency ON entry (idempotency_key) WHERE idempotency_key IS NOT NULL;
`

/** The sum of all that drained from a bucket, which bounds refunds. */
const DRAINED = 'ALTER TABLE level ADD COLUMN drained INTEGER NOT NULL DEFAULT 0;'

/**
 * The search for open rows starts at the id `open_from`: no row below it is open, and none will be written there. The mark is
 * saved with the sums. An index of open rows would cost each call two writes.
 */
const OPEN_FROM = `
  INSERT INTO mark SELECT 'open_from', coalesce(
    (SELECT min(id) FROM entry WHERE settled_seq IS NULL), (SELECT max(id) FROM entry), 0);
  DROP INDEX entry_open;
`

/** Zero or null in `column` adds nothing to the JSON: a merge patch leaves out members that are null. */
const packedSql = (columns: Readonly<Record<string, string>>) =>
  `json_patch('{}', json_object(${Object.entries(columns).map(([name, column]) => `'${name}', nullif(${column}, 0)`)}))`

const RARE_TOKEN_COLUMNS = {
  cache_write_1h: 'cache_write_1h_tokens',
  audio_input: 'audio_input_tokens',
  audio_cache_read: 'audio_cache_read_tokens',
  audio_output: 'audio_output_tokens',
  image_input: 'image_input_tokens',
  image_output: 'image_output_tokens',
}

const RARE_COLUMNS = { ...RARE_TOKEN_COLUMNS, web_searches: 'web_searches' }

/**
 * Rare classes of usage move into one column, as JSON by class, so that rows do not grow with the list of classes. Rollups
 * also get the units that are not tokens: by day, counted from the entries that the rollups include. In `entry` the old columns
 * stay, unused: to drop them would rewrite every row, and each takes one byte.
 */
const RARE_USAGE = `
  ALTER TABLE entry ADD COLUMN rare_usage TEXT;
  UPDATE entry SET rare_usage = ${packedSql(RARE_COLUMNS)} WHERE ${Object.values(RARE_COLUMNS).join(' + ')} > 0;

  ALTER TABLE rollup RENAME TO old_rollup;
  CREATE TABLE rollup (
    span TEXT NOT NULL,
    key TEXT NOT NULL,
    simulated INTEGER NOT NULL,
    id NOT NULL,
    requests INTEGER NOT NULL,
    cost_nano_usd INTEGER NOT NULL,
    exact INTEGER NOT NULL,
    estimated INTEGER NOT NULL,
    upper_bound INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL,
    cache_write_5m_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    billed_requests INTEGER NOT NULL,
    -- JSON {"cache_write_1h": units, ...}, or null if there are none
    rare_usage TEXT,
    PRIMARY KEY (span, key, simulated, id)
  ) WITHOUT ROWID;
  WITH
    by_key AS (
      SELECT coalesce(key, '(none)') AS key, simulated, day, sum(billed_requests) AS requests, sum(web_searches) AS searches
      FROM entry WHERE settled_seq <= (SELECT value FROM mark WHERE name = 'rolled_up_seq') GROUP BY 1, 2, 3),
    units AS (
      SELECT * FROM by_key
      UNION ALL SELECT '', simulated, day, sum(requests), sum(searches) FROM by_key GROUP BY 2, 3)
  INSERT INTO rollup SELECT
    span, old_rollup.key, old_rollup.simulated, id, old_rollup.requests, cost_nano_usd, exact, estimated, upper_bound,
    input_tokens, cache_read_tokens, cache_write_5m_tokens, output_tokens, coalesce(units.requests, 0),
    nullif(${packedSql({ ...RARE_TOKEN_COLUMNS, web_searches: 'units.searches' })}, '{}')
  FROM old_rollup LEFT JOIN units ON units.key = old_rollup.key AND units.simulated = old_rollup.simulated
    AND span = 'day' AND units.day = id;
  DROP TABLE old_rollup;
  CREATE INDEX rollup_minute ON rollup (id) WHERE span = 'minute';
`

/** Frees the kind `limit` for limits that are documents: until here it marked limits whose windows had been seeded. */
const LIMIT_SEEDS = "UPDATE document SET kind = 'limit-seed' WHERE kind = 'limit';"

/** What an answer stated that it cost, and what its usage costs by the price book. Both are null for most calls. */
const PROVIDER_COST = `
  ALTER TABLE entry ADD COLUMN provider_cost_nano_usd INTEGER;
  ALTER TABLE entry ADD COLUMN computed_cost_nano_usd INTEGER;
`

/** Corrections of calls' costs: the call that a row corrects, and why. Few rows have them, and the index holds only those. */
const ADJUSTMENTS = `
  ALTER TABLE entry ADD COLUMN adjusts TEXT;
  ALTER TABLE entry ADD COLUMN reason TEXT;
  CREATE INDEX entry_adjusts ON entry (adjusts) WHERE adjusts IS NOT NULL;
`

/** 1 for a call whose key is of the person in `user`; null for all others. */
const PERSONS = 'ALTER TABLE entry ADD COLUMN person INTEGER;'
/** The newest version is read at each start: without this, from all documents. */
const DOCUMENT_VERSIONS = 'CREATE INDEX document_version ON document (version);'

/** Keys are listed by project: without this, from all keys. */
const KEY_PROJECTS =
  "CREATE INDEX key_project ON document (value ->> 'project', id) WHERE kind = 'key' AND value IS NOT NULL;"

/** What callers say that their calls make. Null for most calls. */
const ITEMS = 'ALTER TABLE entry ADD COLUMN items INTEGER;'

/** Calls that limits refused, or, in shadow, would have refused: by quarter hour since the epoch, so that periods can be counted. */
const REFUSED = `
  CREATE TABLE refused (
    simulated INTEGER NOT NULL,
    quarter INTEGER NOT NULL,
    name TEXT NOT NULL,
    -- '' for callers without a key
    key TEXT NOT NULL,
    shadow INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (simulated, quarter, name, key, shadow)
  ) WITHOUT ROWID;
`

/** What is kept of rows that retention deleted: sums by subject, for windows without an end and for the self-check. */
const PRUNED = `
  CREATE TABLE pruned (
    who TEXT NOT NULL,
    subject TEXT NOT NULL,
    simulated INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    cost_nano_usd INTEGER NOT NULL,
    PRIMARY KEY (who, subject, simulated)
  ) WITHOUT ROWID;
`

/** Texts that many rows share, such as versions of prices: new rows hold a code in their place. */
const TEXT_CODES = 'CREATE TABLE text_code (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);'

/** Alerts on their way, and those whose key must be kept: `next_at_ms` is null once an alert is delivered or given up. */
const ALERTS = `
  CREATE TABLE alert (
    id INTEGER PRIMARY KEY,
    receiver TEXT NOT NULL,
    key TEXT NOT NULL,
    rank INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    message TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    keep_until_ms INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    next_at_ms INTEGER,
    sent_at_ms INTEGER,
    failed_at_ms INTEGER,
    error TEXT
  );
  CREATE INDEX alert_key ON alert (receiver, key, rank);
  CREATE INDEX alert_due ON alert (receiver, next_at_ms) WHERE next_at_ms IS NOT NULL;
`

export const MIGRATIONS: readonly string[] = [
  INITIAL_SCHEMA,
  IDEMPOTENCY,
  DRAINED,
  OPEN_FROM,
  RARE_USAGE,
  LIMIT_SEEDS,
  PROVIDER_COST,
  ADJUSTMENTS,
  PERSONS,
  DOCUMENT_VERSIONS,
  KEY_PROJECTS,
  ITEMS,
  REFUSED,
  PRUNED,
  TEXT_CODES,
  ALERTS,
]
