<?php
// mysqli and PDO at the admin endpoint. Environment: ADMIN_HOST, ADMIN_PORT, ADMIN_PASSWORD.
mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
[$host, $port, $password] = [getenv('ADMIN_HOST'), (int) getenv('ADMIN_PORT'), getenv('ADMIN_PASSWORD')];

function same($expected, $found, string $step): void
{
    if ($expected !== $found) {
        fwrite(STDERR, "$step: " . var_export($found, true) . "\n");
        exit(1);
    }
}

$mysqli = new mysqli($host, 'admin', $password, 'admin', $port);
$mysqli->set_charset('utf8mb4');
same([['1', 'admin']], $mysqli->query('SELECT 1, DATABASE()')->fetch_all(), 'query');
$statement = $mysqli->prepare('SELECT ?, @@autocommit, NULL');
$value = 'x';
$statement->bind_param('s', $value);
$statement->execute();
same([['x', 1, null]], $statement->get_result()->fetch_all(), 'prepared');
same(true, str_contains($mysqli->stat(), 'Uptime'), 'stat');
$mysqli->begin_transaction();
$mysqli->commit();
$mysqli->close();
echo "mysqli\n";

foreach ([true, false] as $emulated) {
    $pdo = new PDO("mysql:host=$host;port=$port;dbname=admin;charset=utf8mb4", 'admin', $password, [PDO::ATTR_EMULATE_PREPARES => $emulated]);
    $statement = $pdo->prepare('SHOW VARIABLES WHERE Variable_name = ?');
    $statement->execute(['license']);
    same([['license', 'Apache-2.0']], $statement->fetchAll(PDO::FETCH_NUM), 'PDO');
}
echo "pdo\n";
