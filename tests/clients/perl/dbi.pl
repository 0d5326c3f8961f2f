# What programs with DBI do, by DBD::MariaDB or DBD::mysql. Usage: dbi.pl MariaDB|mysql
use strict;
use warnings;
use utf8;
use DBI qw(:sql_types);
use File::Basename qw(dirname);
use lib dirname(__FILE__);
use Transcript qw(check every_type_statements expected say_step);

use constant MIB => 1024 * 1024;

my $driver = shift // die "usage: dbi.pl MariaDB|mysql\n";
# Attributes are named after the driver.
my $prefix = lc $driver;

sub encrypted { return ($ENV{CLIENT_TLS} // '') eq '1' }

sub connected {
    my (%more) = @_;
    my $password = delete $more{password} // $ENV{CLIENT_PASSWORD};
    my $database = delete $more{database} // $ENV{CLIENT_DATABASE};
    my $source = "DBI:$driver:host=$ENV{CLIENT_HOST};port=$ENV{CLIENT_PORT};database=$database";
    # 'localhost' would mean a socket.
    if (encrypted()) {
        $source .= ";${prefix}_ssl=1;${prefix}_ssl_ca_file=$ENV{CLIENT_CA}";
        # Built with libmariadb, DBD::mysql knows no other way.
        $source .= ';mysql_ssl_optional=1' if $driver eq 'mysql';
    }
    # DBD::MariaDB always speaks utf8mb4.
    $more{mysql_enable_utf8mb4} = 1 if $driver eq 'mysql';
    return DBI->connect($source, $ENV{CLIENT_USER}, $password, {
        RaiseError => 1, PrintError => 0, PrintWarn => 0, AutoCommit => 1, "${prefix}_local_infile" => 1, %more,
    });
}

sub refused {
    my ($step, $code, $call) = @_;
    my $done = eval { $call->(); 1 };
    check(!$done, "$step was not refused");
    check($DBI::err && $DBI::err == $code, "$step: $@");
    say_step($step, $DBI::err, $DBI::state, $DBI::errstr);
    return;
}

my @column_parts = qw(NAME TYPE PRECISION SCALE NULLABLE);
my @driver_parts = qw(is_auto_increment is_blob is_key is_num is_pri_key length table type type_name);

# What the driver tells of columns. `max_length` is left out: it is counted of the rows.
sub columns {
    my ($statement) = @_;
    my @parts = map { $statement->{$_} } @column_parts, map { "${prefix}_$_" } @driver_parts;
    return [map { my $index = $_; [map { $_->[$index] } @parts] } 0 .. $statement->{NUM_OF_FIELDS} - 1];
}

sub selected {
    my ($connection, $sql, @given) = @_;
    my $statement = $connection->prepare($sql);
    $statement->execute(@given);
    return $statement->fetchall_arrayref;
}

sub types {
    my ($connection) = @_;
    $connection->do("SET time_zone = '+00:00'");
    $connection->do('DROP TABLE IF EXISTS every_type');
    say_step('every type, made', $connection->do($_)) for every_type_statements();
    my $statement = $connection->prepare('SELECT * FROM every_type WHERE id > ? ORDER BY id');
    $statement->execute(0);
    say_step('column', $_) for @{ columns($statement) };
    my $rows = $statement->fetchall_arrayref;
    check(@$rows == 5, 'five rows');
    check((grep { $_ eq q{grün 😀 'quoted' "double" \\ back} } grep { defined } @{ $rows->[0] }), 'text');
    check(!(grep { defined } @{ $rows->[4] }[1 .. $#{ $rows->[4] } - 1]), 'the row of NULLs');
    say_step('row', $_) for @$rows;
    return;
}

sub parameters {
    my ($connection) = @_;
    $connection->do('CREATE OR REPLACE TABLE given (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, n DOUBLE, s VARCHAR(100), b LONGBLOB, i BIGINT)');
    my $insert = $connection->prepare('INSERT INTO given (n, s, b, i) VALUES (?, ?, ?, ?)');
    my @rows = ([1.5, "it's 😀 \\ ?", "\x00\x01\xff", '9223372036854775807'], [undef, undef, undef, undef], [-7, '', '', 0], ['1e300', "\n", q{'}, '-9223372036854775808']);
    for my $row (@rows) {
        $insert->bind_param(1, $row->[0], SQL_DOUBLE);
        $insert->bind_param(2, $row->[1], SQL_VARCHAR);
        $insert->bind_param(3, $row->[2], SQL_BLOB);
        $insert->bind_param(4, $row->[3], SQL_BIGINT);
        say_step('inserted', $insert->execute, $insert->rows, $connection->last_insert_id(undef, undef, undef, undef));
    }
    my $many = $connection->prepare('INSERT INTO given (n, s) VALUES (?, ?)');
    my @status;
    say_step('many', $many->execute_array({ ArrayTupleStatus => \@status }, [1, 2, 3], ['a', undef, 'ü']), \@status);
    my $select = $connection->prepare('SELECT *, ? AS given FROM given WHERE id > ? ORDER BY id');
    for my $values ([1, 0], ['text', 1], [undef, 4], [2.5, '3'], ['ü', 99]) {
        $select->execute(@$values);
        say_step('selected', columns($select), $select->fetchall_arrayref);
    }
    $select->execute('bound', 3);
    $select->bind_columns(\my ($id, $n, $s, $b, $i, $given));
    say_step('bound', $id, $n, $s, $b, $i, $given) while $select->fetch;
    say_step('hashes', $connection->selectall_hashref('SELECT id, s FROM given', 'id'));
    say_step('quoted', selected($connection, 'SELECT ' . $connection->quote("it's \n \\ \" 😀") . ' AS q'));
    $connection->do('INSERT INTO given (id) VALUES (18446744073709551610)');
    $connection->do('INSERT INTO given (n) VALUES (0)');
    say_step('a large id', $connection->last_insert_id(undef, undef, undef, undef), $connection->{"${prefix}_insertid"});
    return;
}

sub transactions {
    my ($connection) = @_;
    $connection->do('CREATE OR REPLACE TABLE account (id INT PRIMARY KEY, sum INT NOT NULL)');
    $connection->begin_work;
    $connection->do('INSERT INTO account VALUES (1, 10), (2, 20)');
    $connection->commit;
    $connection->{AutoCommit} = 0;
    $connection->do('UPDATE account SET sum = 0 WHERE id = 1');
    $connection->do('SAVEPOINT a');
    $connection->do('DELETE FROM account');
    $connection->do('ROLLBACK TO a');
    say_step('inside', selected($connection, 'SELECT * FROM account ORDER BY id'));
    $connection->rollback;
    $connection->{AutoCommit} = 1;
    my $rows = selected($connection, 'SELECT id, sum FROM account ORDER BY id');
    check("@{ $rows->[0] } @{ $rows->[1] }" eq '1 10 2 20', 'account');
    say_step('updated', $connection->do('UPDATE account SET sum = sum + ?', undef, 1), $connection->{"${prefix}_info"}, $connection->{"${prefix}_warning_count"});
    return;
}

sub large {
    my ($connection) = @_;
    my $sql = q{SELECT seq, REPEAT('f', seq % 90) FROM seq_1_to_100000 WHERE seq > ?};
    # Of results that are not stored first, DBD::MariaDB 1.22 finds no rows, and DBD::mysql 4.050 no end of binary ones.
    for my $used ($driver eq 'mysql' && !$connection->{mysql_server_prepare} ? (0, 1) : 0) {
        my $statement = $connection->prepare($sql, { "${prefix}_use_result" => $used });
        $statement->execute(0);
        my ($count, $sum) = (0, 0);
        while (my $row = $statement->fetch) {
            $count++;
            $sum += $row->[0] + length $row->[1];
        }
        check($count == 100000, "$count rows");
        say_step('rows', $count, $sum);
        if (!$used) {
            # Rows that are not used are left to the driver, which cannot when it has not read them.
            $statement->execute(99000);
            say_step('first', $statement->fetch);
            $statement->finish;
        }
        undef $statement;
        say_step('usable after it', selected($connection, 'SELECT 1'));
    }
    $connection->do('CREATE OR REPLACE TABLE large (id INT AUTO_INCREMENT PRIMARY KEY, b LONGBLOB)');
    my $insert = $connection->prepare('INSERT INTO large (b) VALUES (?)');
    $insert->bind_param(1, 'abcdefghi' x (2 * MIB), SQL_BLOB);
    $insert->execute;
    $connection->{LongReadLen} = 40 * MIB;
    for my $asked ('SELECT b, MD5(b), ? FROM large', q{SELECT REPEAT('x', 16777211), ?}, q{SELECT REPEAT('y', 33554430), ?}) {
        say_step('large', selected($connection, $asked, 1));
    }
    return;
}

sub several_results {
    my ($connection) = @_;
    my $all = sub {
        my ($statement) = @_;
        do {
            say_step('result', $statement->{NUM_OF_FIELDS} ? $statement->fetchall_arrayref : $statement->rows);
        } while ($statement->more_results);
    };
    $connection->do('CREATE OR REPLACE PROCEDURE results(IN n INT, OUT o INT) BEGIN SELECT n AS n; SELECT id FROM account WHERE id <= n ORDER BY id; SET o = n * 2; END');
    for my $n (1, 2) {
        # DBD::MariaDB reads several results of texts only.
        my $call = $connection->prepare('CALL results(?, @o)', { mariadb_server_prepare => 0 });
        $call->execute($n);
        $all->($call);
        undef $call;
        say_step('out', selected($connection, 'SELECT @o'));
    }
    my $several = connected("${prefix}_multi_statements" => 1);
    my $statement = $several->prepare(q{SELECT 1 AS a; UPDATE account SET sum = 99 WHERE id = 2; SELECT 'x' AS b WHERE 0; SELECT 3});
    $statement->execute;
    $all->($statement);
    my $failing = $several->prepare('SELECT 1; SELECT * FROM nowhere; SELECT 3');
    refused('the second is an error', 1146, sub { $failing->execute; $all->($failing) });
    $several->disconnect;
    refused('not asked for', 1064, sub { $connection->do('SELECT 1; SELECT 2') });
    return;
}

sub errors {
    my ($connection) = @_;
    refused('syntax', 1064, sub { $connection->prepare('SELEC ?')->execute(1) });
    refused('duplicate', 1062, sub { $connection->do('INSERT INTO account VALUES (?, ?)', undef, 1, 1) });
    refused('unknown table', 1146, sub { $connection->prepare('SELECT * FROM nowhere WHERE id = ?')->execute(1) });
    refused('too long', 1406, sub { $connection->do('INSERT INTO every_type (c_char) VALUES (?)', undef, 'x' x 11) });
    refused('in mid result', 1242, sub { selected($connection, 'SELECT (SELECT seq FROM seq_1_to_3 WHERE seq > 10 - s.seq) FROM seq_1_to_9 s') });
    $connection->do(q{SET sql_mode = ''});
    say_step('warned', $connection->do(q{INSERT INTO account VALUES ('7x', 'y')}), $connection->{"${prefix}_warning_count"}, selected($connection, 'SHOW WARNINGS'));
    $connection->do('SET sql_mode = DEFAULT');
    return;
}

sub introspection {
    my ($connection) = @_;
    $connection->do('CREATE TABLE IF NOT EXISTS child (a INT, b INT, FOREIGN KEY to_account (a) REFERENCES account (id))');
    say_step('tables', $connection->table_info(undef, $ENV{CLIENT_DATABASE}, '%', undef)->fetchall_arrayref);
    # Of newer types, column_info of both drivers knows nothing.
    for my $table (qw(given account child)) {
        say_step("column of $table", $_) for @{ $connection->column_info(undef, $ENV{CLIENT_DATABASE}, $table, '%')->fetchall_arrayref };
        say_step("key of $table", [$connection->primary_key(undef, $ENV{CLIENT_DATABASE}, $table)]);
        my $indexes = $connection->statistics_info(undef, $ENV{CLIENT_DATABASE}, $table, 0, 1) or next;
        # Their order is not, nor is the number of rows, which the store estimates in the background.
        say_step("indexes of $table", [sort map { join ' ', map { $_ // 'undef' } @$_[0 .. 9] } @{ $indexes->fetchall_arrayref }]);
    }
    say_step('foreign key', $connection->foreign_key_info(undef, undef, undef, undef, $ENV{CLIENT_DATABASE}, 'child')->fetchall_arrayref);
    say_step('types', [map { $_->{TYPE_NAME} } $connection->type_info]);
    $connection->do('DROP TABLE child');
    return;
}

sub sessions {
    my ($connection) = @_;
    say_step('server', $connection->{"${prefix}_serverinfo"}, $connection->{"${prefix}_serverversion"}, $connection->get_info(18));
    check($connection->ping, 'ping');
    check($connection->{"${prefix}_stat"} =~ /^Uptime: /, 'statistics');
    my $slow = $connection->prepare('SELECT SLEEP(0.05), 1', { "${prefix}_server_prepare" => 0, ($driver eq 'mysql' ? '' : 'mariadb_') . 'async' => 1 });
    $slow->execute;
    my $ready = "${prefix}_async_ready";
    while (!$slow->$ready) { }
    say_step('asynchronous', $slow->fetchall_arrayref);
    my $file = 'rows.tsv';
    open my $rows, '>:encoding(UTF-8)', $file or die "$file: $!";
    print {$rows} map { "$_\tname $_ 😀\n" } 1 .. 20000;
    close $rows or die "$file: $!";
    $connection->do('CREATE OR REPLACE TABLE loaded (id INT PRIMARY KEY, name VARCHAR(50))');
    say_step('loaded', $connection->do("LOAD DATA LOCAL INFILE '$file' INTO TABLE loaded CHARACTER SET utf8mb4"), selected($connection, 'SELECT COUNT(*), MAX(name) FROM loaded'));
    refused('missing file', 2, sub { $connection->do("LOAD DATA LOCAL INFILE 'missing' INTO TABLE loaded") });
    unlink $file;
    for my $more ({ "${prefix}_client_found_rows" => 0 }, { "${prefix}_init_command" => 'SET @started = 1' }, { "${prefix}_compression" => 1 }) {
        my $other = connected(%$more);
        say_step('other settings', $other->do('UPDATE account SET sum = sum'), selected($other, 'SELECT @started'));
        $other->disconnect;
    }
    my $victim = connected();
    my $id = $victim->{"${prefix}_thread_id"};
    $connection->do("KILL $id");
    check(!$victim->ping, 'the killed connection lives');
    my $again = connected("${prefix}_auto_reconnect" => 1);
    my ($before) = $again->selectrow_array('SELECT CONNECTION_ID()');
    $connection->do("KILL $before");
    check((grep { $again->ping } 1 .. 3), 'connected again');
    check($again->selectrow_array('SELECT CONNECTION_ID()') != $before, 'another connection');
    refused('wrong password', 1045, sub { connected(password => 'wrong') });
    refused('not allowed', 1044, sub { connected(database => 'mysql') });
    return;
}

sub predict {
    for my $prepared (0, 1) {
        my $connection = connected("${prefix}_server_prepare" => $prepared);
        # DBD::MariaDB binds parameters in another collation than the connection's literals have, and labels have the latter.
        $connection->do('SET collation_connection = utf8mb4_general_ci');
        my @labels = map { $_->[0] } @{ selected($connection, q{SELECT ml.predict('apparel', photo) FROM photos ORDER BY id}) };
        check("@labels" eq join(' ', expected()), "labels: @labels");
        my %seen = map { $_ => 1 } @labels;
        my $select = $connection->prepare(q{SELECT id FROM photos WHERE ml.predict('apparel', photo) = ? ORDER BY id});
        for my $label (sort keys %seen) {
            $select->execute($label);
            my @found = map { $_->[0] } @{ $select->fetchall_arrayref };
            check("@found" eq join(' ', grep { $labels[$_ - 1] eq $label } 1 .. @labels), "$label: @found");
        }
        $connection->disconnect;
    }
    return;
}

if (($ENV{CLIENT_PREDICT} // '') eq '1') {
    predict();
    exit 0;
}
for my $prepared (0, 1) {
    my $connection = connected("${prefix}_server_prepare" => $prepared);
    say_step('prepared by the server', $prepared);
    types($connection);
    parameters($connection);
    transactions($connection);
    large($connection);
    several_results($connection);
    errors($connection);
    introspection($connection);
    sessions($connection);
    $connection->disconnect;
}
