// What programs with mysql2 do: texts and binary statements, streams, several results, resets, files.
'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const { Readable } = require('node:stream');
const callbacks = require('mysql2');
const mysql = require('mysql2/promise');
const { DATABASE, EXPECT, everyTypeStatements, options, say } = require('./transcript');

const MIB = 1024 * 1024;
const COLUMN_PARTS = ['name', 'orgName', 'table', 'orgTable', 'schema', 'columnType', 'columnLength', 'flags', 'decimals', 'characterSet'];

/** What the driver tells of columns. */
function columns(fields) {
  return (fields ?? []).map((field) => COLUMN_PARTS.map((part) => field[part]));
}

/** Says how a call failed; fails where it did not. */
async function refused(step, code, call) {
  const error = await call().then(
    () => assert.fail(`${step} was not refused`),
    (reason) => reason,
  );
  assert.equal(error.errno ?? error.code, code, `${step}: ${error.message}`);
  say(step, { code: error.code, errno: error.errno, sqlState: error.sqlState, message: error.message.replace(/'127\.0\.0\.1'|'localhost'/, "'HOST'"), fatal: error.fatal });
}

async function withConnection(more, use) {
  const connection = await mysql.createConnection(options(more));
  try {
    return await use(connection);
  } finally {
    await connection.end();
  }
}

async function types(connection) {
  await connection.query("SET time_zone = '+00:00'");
  for (const statement of everyTypeStatements()) {
    const [done] = await connection.query(statement);
    say('every type, made', done);
  }
  const sql = 'SELECT * FROM every_type ORDER BY id';
  for (const way of ['query', 'execute']) {
    const [rows, fields] = await connection[way]({ sql, rowsAsArray: true });
    assert.equal(rows.length, 5);
    assert.equal(rows[0][fields.findIndex((field) => field.name === 'c_varchar')], 'grün 😀 \'quoted\' "double" \\ back');
    assert.ok(rows[4].slice(1, -1).every((cell) => cell === null), 'the row of NULLs');
    columns(fields).forEach((column, index) => say(`${way}, column`, [column, ...rows.map((row) => row[index])]));
  }
}

async function typesByOptions() {
  const asText = { dateStrings: true, supportBigNumbers: true, bigNumberStrings: true, decimalNumbers: false, timezone: 'Z' };
  const asNumbers = { supportBigNumbers: true, decimalNumbers: true, timezone: '+03:00', jsonStrings: true };
  for (const more of [asText, asNumbers]) {
    await withConnection(more, async (connection) => {
      await connection.query("SET time_zone = '+00:00'");
      for (const way of ['query', 'execute']) {
        const [rows] = await connection[way]('SELECT * FROM every_type ORDER BY id');
        rows.forEach((row) => say(`${way} with ${Object.keys(more)}`, row));
      }
    });
  }
  await withConnection({}, async (connection) => {
    const [nested] = await connection.query({ sql: 'SELECT a.id, b.id FROM every_type a JOIN every_type b USING (id)', nestTables: '_' });
    say('nested names', nested);
    const typeCast = (field, next) => (field.type === 'LONG' ? `cast ${field.string()}` : next());
    say('own casts', (await connection.query({ sql: 'SELECT id, c_char FROM every_type LIMIT 1', typeCast }))[0]);
    say('own casts, binary', (await connection.execute({ sql: 'SELECT id, c_char FROM every_type LIMIT 1', typeCast }))[0]);
  });
}

async function parameters(connection) {
  await connection.query('CREATE TABLE given (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, n DOUBLE, s VARCHAR(100), b BLOB, d DATETIME(3), j JSON)');
  const rows = [
    [1.5, 'text', Buffer.from([0, 1, 255]), new Date('2024-02-29T12:00:00.123Z'), JSON.stringify({ a: 1 })],
    [-7, "it's 😀 \\ \" ` \0 \n", Buffer.alloc(0), null, null],
    [null, '', Buffer.from("'"), '2024-01-01 00:00:00', '[]'],
    [true, false, 'as text', new Date(0), '"x"'],
  ];
  for (const way of ['query', 'execute']) {
    for (const row of rows) {
      const [done] = await connection[way]('INSERT INTO given (n, s, b, d, j) VALUES (?, ?, ?, ?, ?)', row);
      say(`${way}, inserted`, done);
    }
  }
  const [made] = await connection.query('INSERT INTO given (n, s) VALUES ?', [[[1, 'a'], [2, 'b'], [3, 'c']]]);
  assert.deepEqual([made.affectedRows, made.insertId], [3, 9]);
  say('several rows', made);
  say('given, text', (await connection.query('SELECT * FROM given ORDER BY id'))[0]);
  say('given, binary', (await connection.execute('SELECT * FROM given WHERE id > ? ORDER BY id', [0]))[0]);
  say('updated', (await connection.execute('UPDATE given SET n = ? WHERE n <=> ? OR id = ?', [5, null, 2]))[0]);
  await connection.query('INSERT INTO given (id) VALUES (18446744073709551610)');
  say('a large id', (await connection.query('INSERT INTO given (n) VALUES (0)'))[0]);
  await withConnection({ namedPlaceholders: true, supportBigNumbers: true }, async (named) => {
    say('named', (await named.execute('SELECT :a + :b AS sum, :a AS a', { a: 2, b: 3 }))[0]);
    say('large ids', (await named.execute('SELECT id FROM given WHERE id > :least', { least: 100 }))[0]);
  });
}

async function prepared(connection) {
  const statement = await connection.prepare('SELECT ? AS a, CONCAT(?, ?) AS b, c_int FROM every_type WHERE id = ?');
  for (const values of [[1, 'x', 'y', 1], ['text', null, 2, '2'], [Buffer.from('bytes'), 1.25, 'ü', 3], [new Date(0), true, '', 99]]) {
    const [rows, fields] = await statement.execute(values);
    say('executed again', [rows, columns(fields)]);
  }
  await statement.close();
  await refused('prepare of an error', 1064, () => connection.prepare('SELEC ?'));
  await refused('prepare of an unknown table', 1146, () => connection.execute('SELECT * FROM nowhere WHERE id = ?', [1]));
  say('nothing given', (await connection.execute('SELECT 1 AS one WHERE 1 = 0'))[0]);
  connection.unprepare('SELECT 1 AS one WHERE 1 = 0');
  for (let n = 0; n < 300; n += 1) {
    const [[row]] = await connection.execute(`SELECT ${n} + ? AS sum`, [n]);
    assert.equal(Number(row.sum), 2 * n);
  }
  await connection.query('ALTER TABLE given ADD COLUMN later INT DEFAULT 9');
  say('after a change of the table', (await connection.execute('SELECT * FROM given WHERE id > ? ORDER BY id', [0]))[0].length);
}

async function transactions(connection) {
  await connection.query('CREATE TABLE account (id INT PRIMARY KEY, sum INT NOT NULL)');
  await connection.beginTransaction();
  say('in a transaction', (await connection.query('INSERT INTO account VALUES (1, 10), (2, 20)'))[0]);
  await connection.commit();
  await connection.beginTransaction();
  await connection.execute('UPDATE account SET sum = sum - ? WHERE id = ?', [5, 1]);
  say('savepoint', (await connection.query('SAVEPOINT a'))[0]);
  await connection.query('DELETE FROM account');
  await connection.query('ROLLBACK TO a');
  say('released', (await connection.query('RELEASE SAVEPOINT a'))[0]);
  await connection.commit();
  await connection.query('SET autocommit = 0');
  await connection.query('DELETE FROM account');
  await withConnection({}, async (other) => say('seen by another', (await other.query('SELECT * FROM account ORDER BY id'))[0]));
  await connection.rollback();
  say('autocommit again', (await connection.query('SET autocommit = 1'))[0]);
  const [rows] = await connection.query('SELECT * FROM account ORDER BY id');
  assert.deepEqual(rows.map((row) => row.sum), [5, 20]);
  await connection.query('START TRANSACTION READ ONLY');
  await refused('read only', 1792, () => connection.query('DELETE FROM account'));
  await connection.rollback();
}

async function sums(events) {
  let [count, sum] = [0, 0];
  for await (const row of events) {
    count += 1;
    sum += Number(row.seq) + row.filling.length;
  }
  return [count, sum];
}

async function largeResults() {
  const connection = callbacks.createConnection(options());
  const sql = "SELECT seq, REPEAT('f', seq % 90) AS filling FROM seq_1_to_100000";
  for (const way of ['query', 'execute']) {
    const streamed = await sums(connection[way](sql).stream({ highWaterMark: 10 }));
    assert.equal(streamed[0], 100000);
    say(`${way}, streamed`, streamed);
    const [rows] = await connection.promise()[way](sql);
    say(`${way}, at once`, await sums(rows));
  }
  connection.end();
  await once(connection.stream, 'close');
}

async function largeValues(connection) {
  // Rows whose packets end just below, at and above the limit of 16 MiB - 1.
  for (const length of [16777210, 16777211, 16777212, 20 * MIB, 33554421, 33554422, 33554423]) {
    for (const way of ['query', 'execute']) {
      const [[row]] = await connection[way](`SELECT REPEAT('x', ${length}) AS x, 1 AS after`);
      assert.equal(row.x.length, length);
      say(`${way}, large`, row);
    }
  }
  await connection.query('CREATE TABLE large (id INT AUTO_INCREMENT PRIMARY KEY, b LONGBLOB)');
  const blob = Buffer.alloc(17 * MIB, 'abcdefghijk');
  say('large, text', (await connection.query('INSERT INTO large (b) VALUES (?)', [blob]))[0]);
  say('large, binary', (await connection.execute('INSERT INTO large (b) VALUES (?)', [blob]))[0]);
  // Commands below, at and above the limit; in between this driver sends an empty packet too many.
  for (const more of [-4, 0, 1]) {
    const sql = `SELECT '${'y'.repeat(16777214 + more - 9)}'`;
    const [[row]] = await connection.query({ sql, rowsAsArray: true });
    say('command near the limit', row);
  }
  say('large, read', (await connection.query('SELECT id, LENGTH(b), MD5(b), b FROM large ORDER BY id'))[0]);
  await tooLarge();
}

/** The store refuses the packet and closes; whether its words or the end are seen first is a race. */
async function tooLarge() {
  const victim = await mysql.createConnection(options());
  const error = await victim.query('SELECT LENGTH(?)', [Buffer.alloc(65 * MIB, 'z')]).then(
    () => assert.fail('a packet that is too large was not refused'),
    (reason) => reason,
  );
  assert.match(`${error.code} ${error.message}`, /TOO_LARGE|EPIPE|ECONNRESET|closed|lost/i);
  victim.destroy();
}

async function severalResults() {
  await withConnection({ multipleStatements: true }, async (connection) => {
    const [results, fields] = await connection.query("SELECT 1 AS a; INSERT INTO account VALUES (3, 30); SELECT 'x' AS b, 'y' AS c; SET @v = 1; SELECT 2 WHERE 0");
    say('several statements', [results, fields.map(columns)]);
    await refused('the second is an error', 1146, () => connection.query('DO 1; SELECT * FROM nowhere; SELECT 3'));
    say('usable after it', (await connection.query('SELECT 4 AS four'))[0]);
  });
  await withConnection({}, async (connection) => {
    await refused('several statements, not asked for', 1064, () => connection.query('SELECT 1; SELECT 2'));
    await connection.query('CREATE PROCEDURE results(IN n INT, OUT o INT) BEGIN SELECT n AS n; SELECT id FROM account WHERE id <= n ORDER BY id; UPDATE account SET sum = sum; SET o = n * 2; END');
    await connection.query("CREATE PROCEDURE fails() BEGIN SELECT 1; SIGNAL SQLSTATE '45001' SET MESSAGE_TEXT = 'own error', MYSQL_ERRNO = 30001; END");
    const [called, fields] = await connection.query('CALL results(2, @o)');
    say('called', [called, fields.map(columns)]);
    say('out', (await connection.query('SELECT @o AS o'))[0]);
    say('called, binary', (await connection.execute('CALL results(?, @o)', [1]))[0]);
    await refused('own error after a result', 30001, () => connection.query('CALL fails()'));
    await refused('own error after a result, binary', 30001, () => connection.execute('CALL fails()'));
    say('usable after it', (await connection.query('SELECT 5 AS five'))[0]);
  });
}

async function errors(connection) {
  await refused('syntax', 1064, () => connection.query('SELEC 1'));
  await refused('duplicate', 1062, () => connection.query('INSERT INTO account VALUES (1, 1)'));
  await refused('duplicate, binary', 1062, () => connection.execute('INSERT INTO account VALUES (?, ?)', [1, 1]));
  await refused('unknown table', 1146, () => connection.query('SELECT * FROM nowhere'));
  await refused('unknown column', 1054, () => connection.query('SELECT nothing FROM account'));
  await refused('too long', 1406, () => connection.query('INSERT INTO every_type (c_char) VALUES (?)', ['x'.repeat(11)]));
  await refused('out of range', 1264, () => connection.query('INSERT INTO every_type (c_tinyint) VALUES (300)'));
  await refused('required', 1048, () => connection.query('INSERT INTO account VALUES (9, NULL)'));
  await refused('not allowed', 1044, () => connection.query('USE mysql'));
  await refused('in mid result', 1242, () => connection.query('SELECT (SELECT seq FROM seq_1_to_3 WHERE seq > 10 - s.seq) FROM seq_1_to_9 s'));
  await connection.query("SET sql_mode = ''");
  const [cut] = await connection.query("INSERT INTO every_type (c_char, c_tinyint) VALUES ('much too long for it', 999)");
  assert.equal(cut.warningStatus, 2);
  say('warnings', [cut, (await connection.query('SHOW WARNINGS'))[0]]);
  await connection.query('DELETE FROM every_type WHERE id = LAST_INSERT_ID()');
  await connection.query('SET sql_mode = DEFAULT');
  say('state is tracked', (await connection.query(`USE \`${DATABASE}\``))[0]);
}

async function charsets(connection) {
  await connection.query('CREATE TABLE `straße` (id INT AUTO_INCREMENT PRIMARY KEY, `größe` VARCHAR(50), `ключ` VARCHAR(50) CHARACTER SET latin1)');
  await connection.query("INSERT INTO `straße` (`größe`, `ключ`) VALUES ('😀 groß', 'naïve ÿ')");
  await connection.query('CREATE VIEW street AS SELECT * FROM `straße`');
  for (const charset of ['utf8mb4', 'latin1_swedish_ci', 'cp1251_general_ci', 'sjis_japanese_ci']) {
    await withConnection({ charset }, async (other) => {
      const [rows, fields] = await other.query('SELECT * FROM street');
      say(charset, [rows, columns(fields)]);
      say(`${charset}, variables`, (await other.query("SHOW VARIABLES LIKE 'character\\_set\\_c%'"))[0]);
    });
  }
  await withConnection({ charset: 'latin1_swedish_ci' }, async (other) => {
    await other.query("INSERT INTO `straße` (`größe`) VALUES ('é in latin1')");
    say('from latin1', (await connection.query('SELECT `größe`, HEX(`größe`) AS h FROM `straße` ORDER BY h'))[0]);
  });
  await refused('does not fit', 1366, () => connection.query("INSERT INTO `straße` (`ключ`) VALUES ('😀')"));
}

async function sessions(connection) {
  await connection.ping();
  await connection.query('SET @mine = 1');
  await connection.query('CREATE TEMPORARY TABLE passing (a INT)');
  await connection.reset();
  say('after a reset', (await connection.query('SELECT @mine AS mine, DATABASE() AS db'))[0]);
  await refused('no temporary table after it', 1146, () => connection.query('SELECT * FROM passing'));
  await connection.query('SET @mine = 2');
  await connection.changeUser({ user: options().user, password: options().password, database: DATABASE });
  say('after a change of user', (await connection.query('SELECT @mine AS mine, CURRENT_USER() = USER() AS same, DATABASE() AS db'))[0]);
  await connection.changeUser({ user: options().user, password: options().password, database: '' });
  say('without a database', (await connection.query('SELECT DATABASE() AS db'))[0]);
  // The store closes after this one.
  await refused('change to a wrong password', 1045, () => connection.changeUser({ user: options().user, password: 'wrong' }));
  await refused('wrong password', 1045, () => mysql.createConnection(options({ password: 'wrong' })));
  await refused('no password', 1045, () => mysql.createConnection(options({ password: undefined })));
  await refused('unknown user', 1045, () => mysql.createConnection(options({ user: 'nobody_here' })));
  await refused('database not allowed', 1044, () => mysql.createConnection(options({ database: 'mysql' })));
  await withConnection({ compress: true, connectAttributes: { program: 'suite', 'ключ': 'значение' }, flags: ['-FOUND_ROWS', 'IGNORE_SPACE'] }, async (other) => {
    say('other flags', (await other.query('UPDATE account SET sum = sum'))[0]);
  });
}

async function kills() {
  await withConnection({}, async (killer) => {
    const victim = await mysql.createConnection(options());
    const sleeping = async () => {
      const [[row]] = await killer.query("SELECT COUNT(*) AS n FROM information_schema.processlist WHERE id = ? AND info LIKE 'SELECT SLEEP%'", [victim.threadId]);
      return row.n === 1;
    };
    // Its end may come before that of the KILL.
    const interrupted = refused('killed query', 1317, () => victim.query('SELECT SLEEP(60) AS interrupted, a.seq FROM seq_1_to_2 a'));
    while (!(await sleeping()));
    await killer.query(`KILL QUERY ${victim.threadId}`);
    await interrupted;
    say('usable after it', (await victim.query('SELECT 6 AS six'))[0]);
    const killed = victim.query('SELECT SLEEP(61)').then(
      () => assert.fail('the killed connection lives'),
      (error) => error,
    );
    while (!(await sleeping()));
    await killer.query(`KILL ${victim.threadId}`);
    assert.match((await killed).message, /lost/i);
    await assert.rejects(victim.query('SELECT 1'));
  });
}

async function pools() {
  const pool = mysql.createPool(options({ connectionLimit: 8 }));
  const answers = await Promise.all([...Array(200).keys()].map((n) => pool.execute('SELECT ? * 2 AS twice, CONNECTION_ID() AS id', [n])));
  answers.forEach(([[row]], n) => assert.equal(Number(row.twice), 2 * n));
  say('connections of the pool', new Set(answers.map(([[row]]) => row.id)).size);
  await pool.end();
}

async function files(connection) {
  await connection.query('CREATE TABLE loaded (id INT PRIMARY KEY, name VARCHAR(50))');
  const lines = (count) => Readable.from((function* () {
    for (let n = 0; n < count; n += 1) yield Buffer.from(`${n}\tname ${n} 😀\n`);
  })());
  const load = (name, stream) => connection.query({ sql: `LOAD DATA LOCAL INFILE '${name}' INTO TABLE loaded CHARACTER SET utf8mb4`, infileStreamFactory: () => stream });
  say('loaded', (await load('a', lines(50000)))[0]);
  say('loaded twice', (await load('b', lines(10)))[0]);
  say('an empty file', (await load('c', Readable.from([])))[0]);
  say('counted', (await connection.query('SELECT COUNT(*) AS n, MAX(name) AS last FROM loaded'))[0]);
  await refused('no such table', 1146, () => connection.query("LOAD DATA LOCAL INFILE 'x' INTO TABLE nowhere"));
  await withConnection({ flags: ['-LOCAL_FILES'] }, (other) => refused('not offered', 4166, () => other.query("LOAD DATA LOCAL INFILE 'x' INTO TABLE loaded")));
}

async function predict() {
  // utf8mb4_unicode_ci, as mysql2 has it by default.
  await withConnection({}, async (connection) => {
    const [texts] = await connection.query("SELECT id, ml.predict('apparel', photo) AS label FROM photos ORDER BY id");
    assert.deepEqual(texts.map((row) => row.label), EXPECT);
    for (const label of new Set(EXPECT)) {
      const [rows] = await connection.execute("SELECT id FROM photos WHERE ml.predict('apparel', photo) = ? ORDER BY id", [label]);
      assert.deepEqual(rows.map((row) => row.id), texts.filter((row) => row.label === label).map((row) => row.id));
    }
    await predictBound(connection);
  });
}

async function predictBound(connection) {
  // Of the flags, NOT NULL and UNSIGNED: others say how the store sorted.
  const described = (fields) => fields?.map((field) => [field.name, field.columnType, field.columnLength, field.flags & 33]);
  for (const [sql, ...values] of [
    ["SELECT ml.predict('apparel', photo), COUNT(*) AS n FROM photos WHERE id < ? GROUP BY 1 HAVING n > ? ORDER BY n, 1", [18, 0], [9, 1]],
    ["SELECT id FROM photos WHERE ml.predict('apparel', photo) IN (?, ?) AND id <> ? ORDER BY id", [EXPECT[0], EXPECT[1], 3], ['none', null, 0]],
    ['SELECT ml.apparel(?) AS label, ? AS given', ['photos/00002.png', 'x'], [null, 5]],
    ["SELECT id, ml.predict('apparel', CONCAT(?, photo)) = ? AS same FROM photos ORDER BY id LIMIT ? OFFSET ?", ['', EXPECT[0], '3', '2']],
    ["SELECT id, ROW_NUMBER() OVER (PARTITION BY ml.apparel(photo) ORDER BY id) AS n FROM photos WHERE id > ? ORDER BY id", [12]],
    ["SELECT k, MAX(n) AS last FROM (SELECT ml.apparel(photo) AS k, id AS n FROM photos WHERE id < ?) AS d GROUP BY k ORDER BY k", [15]],
    ["SELECT id FROM photos WHERE ml.apparel(photo) = (SELECT ml.apparel(photo) FROM photos WHERE id = ?) ORDER BY id", [1], [2]],
  ]) {
    for (const given of values) {
      const [rows, fields] = await connection.execute(sql, given);
      say('executed', [sql, given, rows, described(fields)]);
    }
    const [rows] = await connection.query(sql, values[0].map((value) => (/^\d+$/.test(value) ? Number(value) : value)));
    say('queried', rows.length);
  }
  await connection.query('CREATE TABLE kinds (id INT PRIMARY KEY, kind VARCHAR(40))');
  const changed = async (sql, values) => {
    const [{ affectedRows, insertId, info, warningStatus }] = await connection.execute(sql, values);
    say('changed', [sql, affectedRows, insertId, info, warningStatus]);
  };
  await changed("INSERT INTO kinds SELECT id, ml.predict('apparel', photo) FROM photos WHERE id < ?", [9]);
  await changed("UPDATE kinds JOIN photos USING (id) SET kind = CONCAT(ml.apparel(photo), ?) WHERE ml.apparel(photo) <> ?", ['!', EXPECT[0]]);
  await changed('INSERT INTO kinds VALUES (?, ml.apparel(?)) ON DUPLICATE KEY UPDATE kind = VALUES(kind)', [1, 'photos/00002.png']);
  await changed("DELETE kinds FROM kinds JOIN photos USING (id) WHERE ml.apparel(photo) = ?", [EXPECT[0]]);
  say('kinds', (await connection.query('SELECT * FROM kinds ORDER BY id'))[0]);
}

async function main() {
  if (process.env.CLIENT_PREDICT === '1') return predict();
  await withConnection({}, async (connection) => {
    say('server', connection.connection._handshakePacket.serverVersion);
    await types(connection);
    await typesByOptions();
    await parameters(connection);
    await prepared(connection);
    await transactions(connection);
    await largeResults();
    await largeValues(connection);
    await severalResults();
    await errors(connection);
    await charsets(connection);
    await files(connection);
    await kills();
    await pools();
  });
  const last = await mysql.createConnection(options());
  await sessions(last);
  last.destroy();
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exitCode = 1;
});
