# DBD::mysql and DBD::MariaDB at the admin endpoint. Environment: ADMIN_HOST, ADMIN_PORT, ADMIN_PASSWORD.
use strict;
use warnings;
use DBI;

for my $driver (@ARGV) {
    my $dsn = "DBI:$driver:database=admin;host=$ENV{ADMIN_HOST};port=$ENV{ADMIN_PORT}";
    my $db = DBI->connect($dsn, 'admin', $ENV{ADMIN_PASSWORD}, { RaiseError => 1, PrintError => 0 });
    my ($one) = $db->selectrow_array('SELECT 1');
    die "SELECT 1: $one" if $one != 1;
    my ($name, $value) = $db->selectrow_array('SHOW VARIABLES WHERE Variable_name = ?', {}, 'license');
    die "SHOW VARIABLES: $name $value" if "$name $value" ne 'license Apache-2.0';
    die 'ping' unless $db->ping;
    die 'SHOW SESSIONS' if @{ $db->selectall_arrayref('SHOW SESSIONS') };
    eval { $db->do('DROP TABLE users') };
    die "DROP TABLE: " . ($db->err // 'answered') if ($db->err // 0) != 1064;
    $db->disconnect;
    print "$driver\n";
}
