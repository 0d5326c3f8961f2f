<?php
// What programs with mysqli do: text and binary statements, cursors, long data, several results, and the small commands.
// Run with `php -d mysqli.allow_local_infile=1`, which a program cannot set for itself.
declare(strict_types=1);

require __DIR__ . '/transcript.php';

const MIB = 1024 * 1024;
mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
ini_set('memory_limit', '1G');

function connect(array $settings = [], int $flags = 0, ?string $password = null, ?string $database = null): mysqli
{
    $connection = mysqli_init();
    $connection->options(MYSQLI_OPT_LOCAL_INFILE, 1);
    foreach ($settings as $option => $value) {
        $connection->options($option, $value);
    }
    if (env('CLIENT_TLS') === '1') {
        $connection->ssl_set(null, null, env('CLIENT_CA'), null, null);
        $flags |= MYSQLI_CLIENT_SSL;
    }
    $database ??= env('CLIENT_DATABASE');
    $connection->real_connect(env('CLIENT_HOST'), env('CLIENT_USER'), $password ?? env('CLIENT_PASSWORD'), $database, (int) env('CLIENT_PORT'), null, $flags);
    return $connection;
}

function refused(string $step, int $code, callable $call): void
{
    try {
        $call();
    } catch (mysqli_sql_exception $error) {
        check($error->getCode() === $code, "$step: {$error->getCode()} {$error->getMessage()}");
        say($step, $error->getCode(), $error->getSqlState(), $error->getMessage());
        return;
    }
    check(false, "$step was not refused");
}

/** What the driver tells of the columns; a column's longest value is counted, not told by the store. */
function columns(mysqli_result $result): array
{
    return array_map(fn ($field) => array_values(array_diff_key((array) $field, ['max_length' => 0])), $result->fetch_fields());
}

function done(mysqli|mysqli_stmt $by): array
{
    return [$by->affected_rows, $by->insert_id, $by instanceof mysqli ? [$by->info, $by->warning_count] : $by->param_count];
}

function types(mysqli $connection): void
{
    $connection->query("SET time_zone = '+00:00'");
    foreach (every_type_statements() as $statement) {
        $connection->query($statement);
        say('every type, made', done($connection));
    }
    $sql = 'SELECT * FROM every_type ORDER BY id';
    $asText = $connection->query($sql);
    say('text, columns', columns($asText));
    $connection->options(MYSQLI_OPT_INT_AND_FLOAT_NATIVE, 1);
    $asNumbers = $connection->query($sql)->fetch_all(MYSQLI_ASSOC);
    $connection->options(MYSQLI_OPT_INT_AND_FLOAT_NATIVE, 0);
    $statement = $connection->prepare($sql);
    $statement->execute();
    $binary = $statement->get_result();
    say('binary, columns', columns($binary));
    foreach ($binary->fetch_all(MYSQLI_ASSOC) as $number => $row) {
        say('text', $asText->fetch_assoc());
        say('text, as numbers', $asNumbers[$number]);
        say('binary', $row);
        check($number !== 4 || array_filter(array_slice($row, 1, -1), fn ($cell) => $cell !== null) === [], 'the row of NULLs');
        check($number !== 0 || $row['c_varchar'] === 'grün 😀 \'quoted\' "double" \\ back', 'text');
    }
}

function parameters(mysqli $connection): void
{
    $connection->query('CREATE TABLE given (id INT AUTO_INCREMENT PRIMARY KEY, n DOUBLE, s VARCHAR(100), b LONGBLOB, i BIGINT)');
    $insert = $connection->prepare('INSERT INTO given (n, s, b, i) VALUES (?, ?, ?, ?)');
    foreach ([[1.5, "it's 😀 \\", "\0\1\xff", PHP_INT_MAX], [null, null, null, null], [-0.0, '', '', PHP_INT_MIN], [1e300, "\n", "'", 0]] as $row) {
        $insert->bind_param('dsbi', ...$row);
        if ($row[2] !== null) {
            $insert->send_long_data(2, $row[2]);
        }
        $insert->execute();
        say('inserted', done($insert));
    }
    $insert->execute(['1.25', 7, 'as text', '9']);
    say('other types', done($insert));
    $insert->close();
    $select = $connection->prepare('SELECT id, n, s, b, i, ? AS given FROM given WHERE id > ? ORDER BY id');
    foreach ([[1, 0], ['text', 1], [null, 2], [2.5, '3'], ['ü', 99]] as $values) {
        $select->execute($values);
        $result = $select->get_result();
        say('selected', columns($result), $result->fetch_all());
    }
    $select->execute(['bound', 3]);
    $select->store_result();
    $select->bind_result($id, $n, $s, $b, $i, $given);
    while ($select->fetch()) {
        say('bound', $select->num_rows, $id, $n, $s, $b, $i, $given);
    }
    $select->reset();
    $select->close();
    say('escaped', $connection->query("SELECT '" . $connection->real_escape_string("it's \0 \n \\ \" 😀") . "'")->fetch_row());
    refused('prepare of an error', 1064, fn () => $connection->prepare('SELEC ?'));
    refused('prepare of an unknown table', 1146, fn () => $connection->prepare('SELECT * FROM nowhere WHERE id = ?'));
}

function long_data(mysqli $connection): void
{
    $connection->query('CREATE TABLE large (id INT AUTO_INCREMENT PRIMARY KEY, b LONGBLOB)');
    $insert = $connection->prepare('INSERT INTO large (b) VALUES (?)');
    $insert->bind_param('b', $none);
    for ($part = 0; $part < 20; $part++) {
        $insert->send_long_data(0, str_repeat(chr(65 + $part), MIB));
    }
    $insert->execute();
    $insert->reset();
    $insert->execute([str_repeat('abc', 6 * MIB)]);
    $connection->query("INSERT INTO large (b) VALUES ('" . str_repeat('z', 17 * MIB) . "')");
    foreach (['SELECT b, LENGTH(b), MD5(b) FROM large ORDER BY id' => 3, 'SELECT REPEAT("x", 16777211), 1' => 1, 'SELECT REPEAT("y", 33554430)' => 1] as $sql => $count) {
        $rows = $connection->query($sql)->fetch_all();
        check(count($rows) === $count, $sql);
        say('large, text', $rows);
        say('large, binary', $connection->execute_query($sql)->fetch_all());
    }
}

function cursors(mysqli $connection): void
{
    $statement = $connection->prepare("SELECT seq, REPEAT('f', seq % 90) FROM seq_1_to_3000 WHERE seq > ?");
    $statement->attr_set(MYSQLI_STMT_ATTR_CURSOR_TYPE, MYSQLI_CURSOR_TYPE_READ_ONLY);
    foreach ([0, 2990] as $least) {
        $statement->bind_param('i', $least);
        $statement->execute();
        $statement->bind_result($seq, $filling);
        [$count, $sum] = [0, 0];
        // The first is left in its middle.
        while ($count < 2500 && $statement->fetch()) {
            $count++;
            $sum += $seq + strlen($filling);
        }
        check($count === ($least === 0 ? 2500 : 10), "cursor: $count rows");
        say('cursor', $count, $sum);
        $statement->free_result();
    }
    $statement->close();
    say('usable after it', $connection->query('SELECT 1')->fetch_row());
}

function large_results(mysqli $connection): void
{
    $sql = "SELECT seq, REPEAT('f', seq % 90) FROM seq_1_to_100000";
    foreach ([MYSQLI_STORE_RESULT, MYSQLI_USE_RESULT] as $mode) {
        [$count, $sum] = [0, 0];
        $result = $connection->query($sql, $mode);
        while ($row = $result->fetch_row()) {
            $count++;
            $sum += $row[0] + strlen($row[1]);
        }
        check($count === 100000, "$count rows");
        say('rows', $count, $sum);
        $result->free();
    }
    $unread = $connection->query($sql, MYSQLI_USE_RESULT);
    $unread->fetch_row();
    refused('out of order', 2014, fn () => $connection->query('SELECT 1'));
    $unread->free();
    say('usable after it', $connection->query('SELECT 1')->fetch_row());
}

function transactions(mysqli $connection): void
{
    $connection->query('CREATE TABLE account (id INT PRIMARY KEY, sum INT NOT NULL)');
    $connection->begin_transaction(MYSQLI_TRANS_START_WITH_CONSISTENT_SNAPSHOT, 'named');
    $connection->query('INSERT INTO account VALUES (1, 10), (2, 20)');
    say('inserted', done($connection));
    $connection->commit();
    $connection->autocommit(false);
    $connection->query('UPDATE account SET sum = 0 WHERE id = 1');
    $connection->savepoint('a');
    $connection->query('DELETE FROM account');
    $connection->query('ROLLBACK TO a');
    $connection->release_savepoint('a');
    $connection->commit();
    $connection->query('DELETE FROM account');
    $connection->rollback(MYSQLI_TRANS_COR_AND_NO_CHAIN);
    $connection->autocommit(true);
    $rows = $connection->query('SELECT * FROM account ORDER BY id')->fetch_all();
    check($rows === [['1', '0'], ['2', '20']], 'rolled back');
    say('account', $rows);
    $connection->begin_transaction(MYSQLI_TRANS_START_READ_ONLY);
    refused('read only', 1792, fn () => $connection->query('DELETE FROM account'));
    $connection->rollback();
}

function several_results(mysqli $connection): void
{
    $all = function () use ($connection): void {
        do {
            $result = $connection->store_result();
            say('result', $result ? [columns($result), $result->fetch_all()] : done($connection));
        } while ($connection->more_results() && $connection->next_result());
    };
    $connection->multi_query("SELECT 1 AS a; INSERT INTO account VALUES (3, 30); SELECT 'x' AS b WHERE 0; SET @v = 5; SELECT @v");
    $all();
    $connection->multi_query('SELECT 1; SELECT * FROM nowhere; SELECT 3');
    refused('the second is an error', 1146, $all);
    refused('not asked for', 1064, fn () => $connection->query('SELECT 1; SELECT 2'));
    $connection->query('CREATE PROCEDURE results(IN n INT, OUT o INT) BEGIN SELECT n AS n; SELECT id FROM account WHERE id <= n ORDER BY id; SET o = n * 2; END');
    $connection->multi_query('CALL results(2, @o)');
    $all();
    say('out', $connection->query('SELECT @o')->fetch_row());
    $call = $connection->prepare('CALL results(?, @p)');
    foreach ([1, 3] as $n) {
        $call->execute([$n]);
        do {
            $result = $call->get_result();
            say('result, binary', $result ? [columns($result), $result->fetch_all()] : done($call));
        } while ($call->more_results() && $call->next_result());
    }
    $call->close();
    say('usable after it', $connection->query('SELECT @p')->fetch_row());
}

function errors(mysqli $connection): void
{
    refused('syntax', 1064, fn () => $connection->query('SELEC 1'));
    refused('duplicate', 1062, fn () => $connection->query('INSERT INTO account VALUES (1, 1)'));
    refused('duplicate, binary', 1062, fn () => $connection->execute_query('INSERT INTO account VALUES (?, ?)', [1, 1]));
    refused('unknown table', 1146, fn () => $connection->query('SELECT * FROM nowhere'));
    refused('too long', 1406, fn () => $connection->query("INSERT INTO every_type (c_char) VALUES ('xxxxxxxxxxx')"));
    refused('not allowed', 1044, fn () => $connection->select_db('mysql'));
    refused('in mid result', 1242, fn () => $connection->query('SELECT (SELECT seq FROM seq_1_to_3 WHERE seq > 10 - s.seq) FROM seq_1_to_9 s'));
    $connection->query("SET sql_mode = ''");
    $connection->query("INSERT INTO account VALUES ('7x', 'y')");
    say('warned', done($connection));
    $warning = $connection->get_warnings();
    do {
        say('warning', $warning->errno, $warning->sqlstate, $warning->message);
    } while ($warning->next());
    $connection->query('SET sql_mode = DEFAULT');
}

function charsets(mysqli $connection): void
{
    $connection->query('CREATE TABLE texts (`größe` VARCHAR(50), b VARCHAR(50) CHARACTER SET latin1, c VARBINARY(50))');
    $connection->query("INSERT INTO texts VALUES ('😀 groß', 'naïve ÿ', NULL)");
    foreach (['latin1', 'cp1251', 'sjis', 'gbk', 'utf8', 'utf8mb4'] as $charset) {
        $connection->set_charset($charset);
        $result = $connection->query('SELECT * FROM texts');
        say($charset, (array) $connection->get_charset(), columns($result), $result->fetch_all());
        $connection->query("INSERT INTO texts (c) VALUES ('" . $connection->real_escape_string("\xe9\x5c'") . "')");
    }
    say('hexadecimal', $connection->query('SELECT HEX(c) FROM texts')->fetch_all());
}

function files(mysqli $connection): void
{
    $file = tempnam(getcwd(), 'rows');
    file_put_contents($file, implode('', array_map(fn ($n) => "$n\tname $n 😀\n", range(1, 30000))));
    $connection->query('CREATE TABLE loaded (id INT PRIMARY KEY, name VARCHAR(50))');
    foreach (['first', 'again'] as $time) {
        $connection->query("LOAD DATA LOCAL INFILE '$file' INTO TABLE loaded CHARACTER SET utf8mb4");
        say("loaded, $time", done($connection));
    }
    say('counted', $connection->query('SELECT COUNT(*), MAX(name) FROM loaded')->fetch_row());
    try {
        $connection->query("LOAD DATA LOCAL INFILE '$file-missing' INTO TABLE loaded");
        check(false, 'a missing file was loaded');
    } catch (mysqli_sql_exception $error) {
        say('missing file', $error->getCode());
    }
    say('usable after it', $connection->query('SELECT 1')->fetch_row());
    unlink($file);
}

function small_commands(mysqli $connection): void
{
    say('server', $connection->server_info, $connection->server_version, $connection->protocol_version);
    check($connection->ping(), 'ping');
    check(str_starts_with($connection->stat(), 'Uptime: '), 'statistics');
    // Both need privileges; what the driver makes of the refusal is its own.
    say('debug, refresh', $connection->dump_debug_info(), @$connection->refresh(MYSQLI_REFRESH_TABLES), $connection->errno, $connection->error);
    $connection->query('SET @mine = 1');
    $connection->change_user(env('CLIENT_USER'), env('CLIENT_PASSWORD'), env('CLIENT_DATABASE'));
    say('changed user', $connection->query('SELECT @mine, DATABASE()')->fetch_row());
    $connection->change_user(env('CLIENT_USER'), env('CLIENT_PASSWORD'), null);
    say('no database', $connection->query('SELECT DATABASE()')->fetch_row());
    $connection->select_db(env('CLIENT_DATABASE'));
    say('selected', $connection->query('SELECT DATABASE()')->fetch_row());
    foreach ([MYSQLI_CLIENT_FOUND_ROWS, MYSQLI_CLIENT_IGNORE_SPACE] as $flags) {
        $other = connect([MYSQLI_INIT_COMMAND => 'SET @started = 1'], $flags);
        $other->query('UPDATE account SET sum = sum');
        say('other flags', done($other), $other->query('SELECT @started, CONCAT ("a")')->fetch_row());
        $other->close();
    }
    refused('wrong password', 1045, fn () => connect([], 0, 'wrong'));
    refused('database not allowed', 1044, fn () => connect([], 0, null, 'mysql'));
    refused('change to a wrong password', 1045, fn () => $connection->change_user(env('CLIENT_USER'), 'wrong', ''));
}

/** Waits for one of two connections at a time, and kills one. */
function asynchronous(): void
{
    [$one, $two] = [connect(), connect()];
    $one->query("SELECT 'one', SLEEP(0.1)", MYSQLI_ASYNC);
    $two->query("SELECT 'two'", MYSQLI_ASYNC);
    $waiting = [$one, $two];
    $answers = [];
    while ($waiting) {
        [$read, $failed, $refused] = [$waiting, $waiting, $waiting];
        mysqli_poll($read, $failed, $refused, 5);
        foreach ($read as $ready) {
            $answers[] = $ready->reap_async_query()->fetch_row()[0];
            $waiting = array_filter($waiting, fn ($other) => $other !== $ready);
        }
    }
    sort($answers);
    say('asynchronous', $answers);
    $two->query('SELECT SLEEP(60)', MYSQLI_ASYNC);
    $id = $two->thread_id;
    $seen = fn ($of) => (int) $one->query("SELECT COUNT(*) FROM information_schema.processlist WHERE id = $id AND $of")->fetch_row()[0];
    while ($seen("info LIKE 'SELECT SLEEP%'") === 0);
    $one->kill($id);
    while ($seen('1') === 1);
    say('killed', 'gone');
    $one->close();
}

function predict(): void
{
    $connection = connect();
    $labels = array_column($connection->query("SELECT ml.predict('apparel', photo) FROM photos ORDER BY id")->fetch_all(), 0);
    check($labels === expected(), 'labels, text: ' . implode(',', $labels));
    foreach (array_unique(expected()) as $label) {
        $rows = $connection->execute_query("SELECT id FROM photos WHERE ml.predict('apparel', photo) = ? ORDER BY id", [$label])->fetch_all();
        check(array_column($rows, 0) === array_map(fn ($index) => $index + 1, array_keys(expected(), $label, true)), "$label, binary");
    }
}

/**
 * This driver compresses whether or not it was offered, and would wait for ever for an answer in kind: the proxy refuses it.
 * A store by itself, which explains predictions as any other function, takes it.
 */
function compress(): void
{
    $explained = connect()->query("EXPLAIN SELECT ml.predict('apparel', 'x')")->fetch_field()->name;
    if ($explained !== 'EXPLAIN') {
        return;
    }
    try {
        connect([], MYSQLI_CLIENT_COMPRESS);
    } catch (mysqli_sql_exception $error) {
        check($error->getCode() === 1043, "compression: {$error->getCode()} {$error->getMessage()}");
        return;
    }
    check(false, 'compression was not refused');
}

if (env('CLIENT_PREDICT') === '1') {
    predict();
    compress();
    exit(0);
}
$connection = connect();
$connection->set_charset('utf8mb4');
types($connection);
parameters($connection);
long_data($connection);
cursors($connection);
large_results($connection);
transactions($connection);
several_results($connection);
errors($connection);
charsets($connection);
files($connection);
asynchronous();
small_commands($connection);
