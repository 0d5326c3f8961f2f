# The transcript of a suite: one line a step, of values that are the same in every run.
package Transcript;

use strict;
use warnings;
use utf8;
use Digest::SHA qw(sha256_hex);
use Encode qw(encode);
use Exporter qw(import);
use File::Basename qw(dirname);
use IO::Handle;

our @EXPORT_OK = qw(check every_type_statements expected say_step);

use constant TEXT_CHARS_MAX => 300;

binmode STDOUT, ':encoding(UTF-8)';
STDOUT->autoflush;

# Labels that a run with CLIENT_PREDICT must see, by id.
sub expected { return split /,/, $ENV{CLIENT_EXPECT} }

# Statements of the file that all suites share.
sub every_type_statements {
    open my $file, '<:encoding(UTF-8)', dirname(__FILE__) . '/../every_type.sql' or die "every_type.sql: $!";
    local $/;
    return grep { /\S/ } split /;\n/, <$file>;
}

sub say_step {
    my ($step, @values) = @_;
    print "$step: ", join(', ', map { rendered($_) } @values), "\n";
    return;
}

# A value, short, and without the name of the run's database.
sub rendered {
    my ($value) = @_;
    return 'undef' if !defined $value;
    if (ref $value eq 'ARRAY') { return '[' . join(', ', map { rendered($_) } @$value) . ']' }
    if (ref $value eq 'HASH') {
        return '{' . join(', ', map { masked($_) . ': ' . rendered($value->{$_}) } sort keys %$value) . '}';
    }
    if (length $value > TEXT_CHARS_MAX) {
        return sprintf 'text(%d, sha256 %s)', length $value, substr sha256_hex(encode('UTF-8', $value)), 0, 16;
    }
    return "'" . masked($value) . "'" if $value !~ /[\x00-\x1f\x7f-\x9f]/;
    return 'x' . join '', map { sprintf '%02x', ord } split //, $value;
}

sub masked {
    my ($value) = @_;
    $value =~ s/\Q$ENV{CLIENT_DATABASE}\E/DATABASE/g;
    $value =~ s/'(127\.0\.0\.1|localhost)'/'HOST'/g;
    return $value;
}

# Ends the suite where this does not hold.
sub check {
    my ($holds, $what) = @_;
    die "$what\n" if !$holds;
    return;
}

1;
