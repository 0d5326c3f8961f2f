<?php
// The transcript of a suite: one line a step, of values that are the same in every run.
declare(strict_types=1);

const TEXT_BYTES_MAX = 300;

function env(string $name): string
{
    return (string) getenv($name);
}

/** Labels that a run with CLIENT_PREDICT must see, by id. */
function expected(): array
{
    return explode(',', env('CLIENT_EXPECT'));
}

/** Statements of the file that all suites share. */
function every_type_statements(): array
{
    $text = file_get_contents(__DIR__ . '/../every_type.sql');
    return array_values(array_filter(explode(";\n", $text), fn ($statement) => trim($statement) !== ''));
}

function say(string $step, mixed ...$values): void
{
    echo $step, ': ', implode(', ', array_map('render', $values)), "\n";
}

/** A value with its type, short, and without the name of the run's database. */
function render(mixed $value): string
{
    if (is_string($value)) {
        return text($value);
    }
    if (is_object($value)) {
        $value = get_object_vars($value);
    }
    if (is_array($value)) {
        $items = [];
        foreach ($value as $key => $item) {
            $items[] = (array_is_list($value) ? '' : masked((string) $key) . ': ') . render($item);
        }
        return '[' . implode(', ', $items) . ']';
    }
    return is_float($value) ? 'float ' . var_export($value, true) : get_debug_type($value) . ' ' . var_export($value, true);
}

function text(string $value): string
{
    if (strlen($value) > TEXT_BYTES_MAX) {
        return sprintf('string(%d bytes, sha256 %s)', strlen($value), substr(hash('sha256', $value), 0, 16));
    }
    $utf8 = preg_match('/^[^\x00-\x1f\x7f]*$/Du', $value) === 1;
    return $utf8 ? "'" . masked($value) . "'" : "x'" . bin2hex($value) . "'";
}

/** The name of the run's database is left out, and who asks from where. */
function masked(string $value): string
{
    return preg_replace("/'(127\.0\.0\.1|localhost)'/", "'HOST'", str_replace(env('CLIENT_DATABASE'), 'DATABASE', $value));
}

/** Ends the suite where this does not hold. */
function check(bool $holds, string $what): void
{
    if (!$holds) {
        throw new LogicException($what);
    }
}
