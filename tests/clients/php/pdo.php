<?php
// What programs with PDO do: emulated and native prepares, buffered and not.
declare(strict_types=1);

require __DIR__ . '/transcript.php';

const MIB = 1024 * 1024;
ini_set('memory_limit', '1G');

function connect(array $options = [], string $more = '', string $charset = 'utf8mb4', ?string $password = null): PDO
{
    if (env('CLIENT_TLS') === '1') {
        $options[PDO::MYSQL_ATTR_SSL_CA] = env('CLIENT_CA');
    }
    $options[PDO::ATTR_ERRMODE] ??= PDO::ERRMODE_EXCEPTION;
    $source = sprintf('mysql:host=%s;port=%s;dbname=%s;charset=%s%s', env('CLIENT_HOST'), env('CLIENT_PORT'), env('CLIENT_DATABASE'), $charset, $more);
    return new PDO($source, env('CLIENT_USER'), $password ?? env('CLIENT_PASSWORD'), $options);
}

function refused(string $step, int $code, callable $call): void
{
    try {
        $call();
    } catch (PDOException $error) {
        // Those of a connection have no details.
        $info = $error->errorInfo ?? [$error->getCode(), $error->getCode(), $error->getMessage()];
        check($info[1] === $code, "$step: {$error->getMessage()}");
        say($step, $info);
        return;
    }
    check(false, "$step was not refused");
}

function columns(PDOStatement $statement): array
{
    return array_map(fn ($index) => $statement->getColumnMeta($index), range(0, $statement->columnCount() - 1));
}

function types(PDO $connection): void
{
    $connection->exec("SET time_zone = '+00:00'");
    foreach (every_type_statements() as $statement) {
        say('every type, made', $connection->exec(preg_replace('/^CREATE TABLE/m', 'CREATE OR REPLACE TABLE', $statement)));
    }
    foreach ([false, true] as $asText) {
        $connection->setAttribute(PDO::ATTR_STRINGIFY_FETCHES, $asText);
        $statement = $connection->prepare('SELECT * FROM every_type WHERE id > ? ORDER BY id');
        $statement->execute([0]);
        say('columns', columns($statement));
        $rows = $statement->fetchAll(PDO::FETCH_ASSOC);
        check(count($rows) === 5 && $rows[0]['c_varchar'] === 'grün 😀 \'quoted\' "double" \\ back', 'rows');
        check(array_filter(array_slice($rows[4], 1, -1), fn ($cell) => $cell !== null) === [], 'the row of NULLs');
        foreach ($rows as $row) {
            say('every type', $row);
        }
    }
    $connection->setAttribute(PDO::ATTR_STRINGIFY_FETCHES, false);
}

function parameters(PDO $connection): void
{
    $connection->exec('CREATE OR REPLACE TABLE given (id INT AUTO_INCREMENT PRIMARY KEY, n DOUBLE, s VARCHAR(100), b LONGBLOB, i BIGINT, t BOOL)');
    $insert = $connection->prepare('INSERT INTO given (n, s, b, i, t) VALUES (:n, :s, :b, :i, :t)');
    $rows = [[1.5, "it's 😀 \\ \0 ?", "\0\1\xff", PHP_INT_MAX, true], [null, null, null, null, null], [-7, '', '', PHP_INT_MIN, false], ['1e300', ':n', "'", '5', 1]];
    foreach ($rows as [$n, $s, $b, $i, $t]) {
        $insert->bindValue('n', $n);
        $insert->bindValue('s', $s, $s === null ? PDO::PARAM_NULL : PDO::PARAM_STR);
        $insert->bindValue('b', $b, PDO::PARAM_LOB);
        $insert->bindValue('i', $i, is_int($i) ? PDO::PARAM_INT : PDO::PARAM_STR);
        $insert->bindValue('t', $t, PDO::PARAM_BOOL);
        $insert->execute();
        say('inserted', $insert->rowCount(), $connection->lastInsertId());
    }
    $stream = fopen('php://memory', 'r+');
    fwrite($stream, str_repeat('stream', 50000));
    rewind($stream);
    $insert->bindParam('b', $stream, PDO::PARAM_LOB);
    $insert->execute();
    say('from a stream', $insert->rowCount(), $connection->lastInsertId());
    $select = $connection->prepare('SELECT *, ? AS given FROM given WHERE id > ? ORDER BY id');
    foreach ([[1, 0], ['text', 1], [null, 4], [2.5, '3'], ['ü', 99]] as $values) {
        $select->execute($values);
        say('selected', columns($select), $select->fetchAll(PDO::FETCH_NUM));
    }
    $select->execute(['bound', 3]);
    $select->bindColumn('id', $id, PDO::PARAM_INT);
    $select->bindColumn('b', $blob, PDO::PARAM_LOB);
    while ($select->fetch(PDO::FETCH_BOUND)) {
        say('bound', $id, is_resource($blob) ? stream_get_contents($blob) : $blob);
    }
    say('quoted', $connection->query('SELECT ' . $connection->quote("it's \0 \n \\ \" 😀"))->fetchColumn());
    say('styles', $connection->query('SELECT id, n FROM given')->fetchAll(PDO::FETCH_KEY_PAIR), $connection->query('SELECT t, id FROM given ORDER BY id')->fetchAll(PDO::FETCH_GROUP | PDO::FETCH_COLUMN));
    say('an object', $connection->query('SELECT 1 AS a, NULL AS b')->fetchObject());
}

function transactions(PDO $connection): void
{
    $connection->exec('CREATE OR REPLACE TABLE account (id INT PRIMARY KEY, sum INT NOT NULL)');
    $connection->beginTransaction();
    $connection->exec('INSERT INTO account VALUES (1, 10), (2, 20)');
    say('in a transaction', $connection->inTransaction());
    $connection->commit();
    $connection->beginTransaction();
    $connection->exec('UPDATE account SET sum = 0');
    $connection->exec('SAVEPOINT a');
    $connection->exec('DELETE FROM account');
    $connection->exec('ROLLBACK TO a');
    $connection->rollBack();
    // Data definition commits; the driver learns it from the status of the answer.
    $connection->beginTransaction();
    $connection->exec('INSERT INTO account VALUES (3, 30)');
    $connection->exec('CREATE OR REPLACE TABLE committing (a INT)');
    say('committed by the store', $connection->inTransaction());
    $connection->setAttribute(PDO::ATTR_AUTOCOMMIT, false);
    $connection->exec('DELETE FROM account');
    $connection->exec('ROLLBACK');
    $connection->setAttribute(PDO::ATTR_AUTOCOMMIT, true);
    $rows = $connection->query('SELECT id, sum FROM account ORDER BY id')->fetchAll(PDO::FETCH_KEY_PAIR);
    check($rows === [1 => 10, 2 => 20, 3 => 30], 'account');
    say('account', $rows);
}

function large(PDO $connection): void
{
    $sql = "SELECT seq, REPEAT('f', seq % 90) FROM seq_1_to_100000 WHERE seq > ?";
    foreach ([true, false] as $buffered) {
        $connection->setAttribute(PDO::MYSQL_ATTR_USE_BUFFERED_QUERY, $buffered);
        [$count, $sum] = [0, 0];
        $statement = $connection->prepare($sql);
        $statement->execute([0]);
        foreach ($statement as [$seq, $filling]) {
            $count++;
            $sum += $seq + strlen($filling);
        }
        check($count === 100000, "$count rows");
        say('rows', $count, $sum);
        $statement->execute([99000]);
        $statement->fetch();
        if (!$buffered) {
            refused('another is read', 2014, fn () => $connection->query('SELECT 1'));
        }
        $statement->closeCursor();
        $statement = null;
        say('usable after it', $connection->query('SELECT 1')->fetchAll(PDO::FETCH_COLUMN));
    }
    $connection->setAttribute(PDO::MYSQL_ATTR_USE_BUFFERED_QUERY, true);
    $connection->exec('CREATE OR REPLACE TABLE large (id INT AUTO_INCREMENT PRIMARY KEY, b LONGBLOB)');
    $connection->prepare('INSERT INTO large (b) VALUES (?)')->execute([str_repeat('abcdefghi', 2 * MIB)]);
    foreach (['SELECT b, MD5(b) FROM large', 'SELECT REPEAT("x", 16777211), ?', 'SELECT REPEAT("y", 33554430), ?'] as $sql) {
        $statement = $connection->prepare($sql);
        $statement->execute(str_contains($sql, '?') ? [1] : []);
        say('large', $statement->fetchAll(PDO::FETCH_NUM));
    }
}

function several_results(PDO $connection): void
{
    $all = function (PDOStatement $statement): void {
        do {
            say('result', $statement->columnCount() > 0 ? [columns($statement), $statement->fetchAll(PDO::FETCH_NUM)] : $statement->rowCount());
        } while ($statement->nextRowset());
    };
    $connection->exec('CREATE OR REPLACE PROCEDURE results(IN n INT, OUT o INT) BEGIN SELECT n AS n; SELECT id FROM account WHERE id <= n ORDER BY id; SET o = n * 2; END');
    foreach ([1, 2] as $n) {
        $call = $connection->prepare('CALL results(?, @o)');
        $call->execute([$n]);
        $all($call);
        say('out', $connection->query('SELECT @o')->fetchColumn());
    }
    if ($connection->getAttribute(PDO::ATTR_EMULATE_PREPARES)) {
        $all($connection->query("SELECT 1 AS a; UPDATE account SET sum = 99 WHERE id = 3; SELECT 'x' AS b WHERE 0"));
        refused('the second is an error', 1146, fn () => $all($connection->query('SELECT 1; SELECT * FROM nowhere; SELECT 3')));
        say('usable after it', $connection->query('SELECT 1')->fetchColumn());
    }
    $single = connect([PDO::MYSQL_ATTR_MULTI_STATEMENTS => false]);
    refused('not allowed', 1064, fn () => $single->query('SELECT 1; SELECT 2'));
}

function errors(PDO $connection): void
{
    refused('syntax', 1064, fn () => $connection->prepare('SELEC ?')->execute([1]));
    refused('duplicate', 1062, fn () => $connection->prepare('INSERT INTO account VALUES (?, ?)')->execute([1, 1]));
    refused('unknown table', 1146, fn () => $connection->query('SELECT * FROM nowhere'));
    refused('too long', 1406, fn () => $connection->prepare('INSERT INTO every_type (c_char) VALUES (?)')->execute(['xxxxxxxxxxx']));
    refused('in mid result', 1242, fn () => $connection->query('SELECT (SELECT seq FROM seq_1_to_3 WHERE seq > 10 - s.seq) FROM seq_1_to_9 s')->fetchAll());
    $connection->setAttribute(PDO::ATTR_ERRMODE, PDO::ERRMODE_SILENT);
    say('silent', $connection->exec('SELEC'), $connection->errorInfo());
    $connection->setAttribute(PDO::ATTR_ERRMODE, PDO::ERRMODE_EXCEPTION);
    say('in order again', $connection->query('SELECT 1')->fetchColumn(), $connection->errorCode());
}

function charsets(PDO $connection): void
{
    $connection->exec('CREATE OR REPLACE TABLE texts (`größe` VARCHAR(50), b VARCHAR(50) CHARACTER SET latin1)');
    $connection->exec("INSERT INTO texts VALUES ('😀 groß', 'naïve ÿ')");
    foreach (['latin1', 'cp1251', 'sjis', 'utf8mb4'] as $charset) {
        $other = connect([], '', $charset);
        $other->setAttribute(PDO::ATTR_EMULATE_PREPARES, $connection->getAttribute(PDO::ATTR_EMULATE_PREPARES));
        $statement = $other->prepare('SELECT *, ? AS given FROM texts');
        $statement->execute(['x']);
        say($charset, columns($statement), $statement->fetchAll(PDO::FETCH_NUM));
    }
}

function sessions(): void
{
    $started = connect([PDO::MYSQL_ATTR_INIT_COMMAND => "SET @started = 'yes'", PDO::MYSQL_ATTR_FOUND_ROWS => true, PDO::MYSQL_ATTR_IGNORE_SPACE => true]);
    say('started', $started->query('SELECT @started, CONCAT ("a")')->fetch(PDO::FETCH_NUM), $started->exec('UPDATE account SET sum = sum'));
    say('attributes', $started->getAttribute(PDO::ATTR_SERVER_VERSION), $started->getAttribute(PDO::ATTR_CLIENT_VERSION), $started->getAttribute(PDO::ATTR_DRIVER_NAME));
    check(str_starts_with($started->getAttribute(PDO::ATTR_SERVER_INFO), 'Uptime: '), 'statistics');
    $kept = connect([PDO::ATTR_PERSISTENT => true]);
    $kept->exec('SET @kept = 1');
    $kept = null;
    say('kept', connect([PDO::ATTR_PERSISTENT => true])->query('SELECT @kept')->fetchColumn());
    $file = tempnam(getcwd(), 'rows');
    file_put_contents($file, "1\ta\n2\tb 😀\n");
    $loader = connect([PDO::MYSQL_ATTR_LOCAL_INFILE => true]);
    $loader->exec('CREATE TABLE loaded (id INT PRIMARY KEY, name VARCHAR(50))');
    say('loaded', $loader->exec("LOAD DATA LOCAL INFILE '$file' INTO TABLE loaded CHARACTER SET utf8mb4"), $loader->query('SELECT * FROM loaded')->fetchAll(PDO::FETCH_NUM));
    unlink($file);
    refused('wrong password', 1045, fn () => connect(password: 'wrong'));
    refused('not allowed', 1044, fn () => connect([], ';dbname=mysql'));
}

function predict(): void
{
    foreach ([true, false] as $emulated) {
        $connection = connect([PDO::ATTR_EMULATE_PREPARES => $emulated]);
        $labels = $connection->query("SELECT ml.predict('apparel', photo) FROM photos ORDER BY id")->fetchAll(PDO::FETCH_COLUMN);
        check($labels === expected(), 'labels: ' . implode(',', $labels));
        $select = $connection->prepare("SELECT id FROM photos WHERE ml.predict('apparel', photo) = :label ORDER BY id");
        foreach (array_unique(expected()) as $label) {
            $select->execute(['label' => $label]);
            check($select->fetchAll(PDO::FETCH_COLUMN) === array_map(fn ($index) => $index + 1, array_keys(expected(), $label, true)), $label);
        }
        predictBound($connection);
    }
}

function predictBound(PDO $connection): void
{
    $first = expected()[0];
    foreach ([
        ["SELECT ml.predict('apparel', photo) AS k, COUNT(*) AS n FROM photos WHERE id < ? GROUP BY k HAVING k <> ? ORDER BY n, k", [18, $first], [9, 'none']],
        ["SELECT id, ml.apparel(photo) AS label FROM photos WHERE ml.predict('apparel', photo) IN (?, ?) ORDER BY label, id", [$first, 'Bag'], ['Coat', null]],
        ["SELECT ml.apparel(?) AS label, CONCAT(ml.apparel(?), '!') AS said", ['photos/00002.png', 'photos/00003.png'], [null, 'photos/00004.png']],
        ["SELECT DISTINCT ml.apparel(photo) AS k FROM photos WHERE id <> ? ORDER BY k", [1]],
        ["SELECT id FROM photos WHERE ml.apparel(photo) = (SELECT ml.apparel(photo) FROM photos WHERE id = ?) ORDER BY id", [1], [2]],
    ] as $asked) {
        [$sql, $given] = $asked;
        $again = $asked[2] ?? null;
        $statement = $connection->prepare($sql);
        foreach (array_filter([$given, $again]) as $values) {
            $statement->execute($values);
            $columns = array_map(fn ($at) => $statement->getColumnMeta($at), range(0, $statement->columnCount() - 1));
            say('executed', $sql, $values, $statement->fetchAll(PDO::FETCH_ASSOC), array_map(fn ($meta) => [$meta['name'], $meta['native_type'], $meta['len']], $columns));
        }
    }
    $connection->exec('CREATE TABLE kinds (id INT PRIMARY KEY, kind VARCHAR(40))');
    foreach ([
        ["INSERT INTO kinds SELECT id, ml.predict('apparel', photo) FROM photos WHERE id < ?", [9]],
        ["UPDATE kinds JOIN photos USING (id) SET kind = CONCAT(ml.apparel(photo), ?) WHERE ml.apparel(photo) <> ?", ['!', $first]],
        ["DELETE kinds FROM kinds JOIN photos USING (id) WHERE ml.apparel(photo) = ?", [$first]],
    ] as [$sql, $values]) {
        $statement = $connection->prepare($sql);
        $statement->execute($values);
        say('changed', $sql, $statement->rowCount());
    }
    say('kinds', $connection->query('SELECT * FROM kinds ORDER BY id')->fetchAll(PDO::FETCH_NUM));
    $connection->exec('DROP TABLE kinds');
}

if (env('CLIENT_PREDICT') === '1') {
    predict();
    exit(0);
}
foreach ([true, false] as $emulated) {
    $connection = connect([PDO::ATTR_EMULATE_PREPARES => $emulated]);
    say('emulated prepares', $emulated);
    types($connection);
    parameters($connection);
    transactions($connection);
    large($connection);
    several_results($connection);
    errors($connection);
    charsets($connection);
}
sessions();
