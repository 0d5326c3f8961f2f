// mysql2 at the admin endpoint: a pool, texts, prepared statements, resets. usage: node drivers.js, with ADMIN_HOST, ADMIN_PORT,
// ADMIN_PASSWORD; mysql2 is found by NODE_PATH.
'use strict';

const assert = require('node:assert/strict');
const mysql = require('mysql2/promise');

const options = { host: process.env.ADMIN_HOST, port: Number(process.env.ADMIN_PORT), user: 'admin', password: process.env.ADMIN_PASSWORD, database: 'admin' };

async function main() {
  const pool = mysql.createPool({ ...options, connectionLimit: 2 });
  const [texts] = await pool.query('SELECT 1 AS one, @@version_comment AS c');
  assert.deepEqual(texts, [{ one: 1, c: 'PredictSQL admin endpoint' }]);
  const [prepared] = await pool.execute('SELECT ? AS one, @@autocommit AS a, NULL AS n', ['x']);
  assert.deepEqual(prepared, [{ one: 'x', a: 1, n: null }]);
  const [listed] = await pool.execute('SHOW VARIABLES WHERE Variable_name = ?', ['license']);
  assert.deepEqual(listed, [{ Variable_name: 'license', Value: 'Apache-2.0' }]);
  await assert.rejects(pool.execute('KILL SESSION ?', [4000000000]), { errno: 1094 });
  await assert.rejects(pool.query('DROP TABLE users'), { errno: 1064 });
  const [sessions] = await pool.execute('SHOW SESSIONS');
  assert.deepEqual(sessions, []);
  const connection = await pool.getConnection();
  await connection.beginTransaction();
  await connection.commit();
  await connection.ping();
  connection.release();
  await pool.end();
  const direct = await mysql.createConnection(options);
  await direct.reset();
  await direct.end();
  console.log('mysql2');
}

main();
