// The transcript of a suite: one line a step, of values that are the same in every run.
'use strict';

const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');

const DATABASE = process.env.CLIENT_DATABASE;
/** Labels that a run with CLIENT_PREDICT must see, by id. */
const EXPECT = (process.env.CLIENT_EXPECT ?? '').split(',');
const TEXT_CHARS_MAX = 300;

/** Options of a connection, as the environment gives them. */
function options(more = {}) {
  const tls = process.env.CLIENT_TLS === '1' ? { ssl: { ca: fs.readFileSync(process.env.CLIENT_CA) } } : {};
  return {
    host: process.env.CLIENT_HOST,
    port: Number(process.env.CLIENT_PORT),
    user: process.env.CLIENT_USER,
    password: process.env.CLIENT_PASSWORD,
    database: DATABASE,
    ...tls,
    ...more,
  };
}

/** Statements of the file that all suites share. */
function everyTypeStatements() {
  const text = fs.readFileSync(path.join(__dirname, '..', 'every_type.sql'), 'utf8');
  return text.split(/;\n/).filter((statement) => statement.trim() !== '');
}

/** Prints a step. */
function say(step, value) {
  process.stdout.write(`${step}: ${render(value)}\n`);
}

/** A value with its type, short, and without the name of the run's database. */
function render(value) {
  if (value === undefined) return 'undefined';
  if (value === null) return 'null';
  if (Buffer.isBuffer(value)) return bytes(value);
  if (value instanceof Date) return `Date(${Number.isNaN(value.getTime()) ? 'invalid' : value.toISOString()})`;
  if (Array.isArray(value)) return `[${value.map(render).join(', ')}]`;
  switch (typeof value) {
    case 'string':
      return text(value);
    case 'object':
      return `{${Object.keys(value).map((key) => `${masked(key)}: ${render(value[key])}`).join(', ')}}`;
    case 'number':
      return Object.is(value, -0) ? '-0' : String(value);
    case 'bigint':
      return `${value}n`;
    default:
      return String(value);
  }
}

function text(value) {
  if (value.length <= TEXT_CHARS_MAX) return JSON.stringify(masked(value));
  return `String(${value.length} chars, sha256 ${digest(value)})`;
}

function bytes(value) {
  if (value.length <= TEXT_CHARS_MAX) return `Buffer(${value.toString('hex')})`;
  return `Buffer(${value.length} bytes, sha256 ${digest(value)})`;
}

function digest(value) {
  return crypto.createHash('sha256').update(value).digest('hex').slice(0, 16);
}

function masked(value) {
  return value.split(DATABASE).join('DATABASE');
}

module.exports = { DATABASE, EXPECT, everyTypeStatements, options, render, say };
