// What programs with Sequelize do: models of every type, introspection, changes of tables, transactions, errors.
'use strict';

const assert = require('node:assert/strict');
const { DataTypes, Op, QueryTypes, Sequelize, Transaction } = require('sequelize');
const { DATABASE, EXPECT, everyTypeStatements, options, say } = require('./transcript');

/** Transactions and their savepoints have names of chance. */
const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/g;

/** Connects, and says every statement that Sequelize makes where `told`. */
function open(told = true, more = {}) {
  const { host, port, user, password, database, ssl } = options();
  const logging = (sql) => say('sql', sql.replace(/^Executing \([^)]*\): /, '').replace(UUID, 'UUID'));
  return new Sequelize(database, user, password, {
    host,
    port,
    dialect: 'mysql',
    timezone: '+00:00',
    logging: told ? logging : false,
    dialectOptions: ssl ? { ssl, ...more } : more,
    // One connection keeps the order of statements.
    pool: { max: 1 },
  });
}

async function refused(step, name, call) {
  const error = await call().then(
    () => assert.fail(`${step} was not refused`),
    (reason) => reason,
  );
  assert.equal(error.name, name, `${step}: ${error.message}`);
  const { errno, sqlState, sqlMessage } = error.parent ?? {};
  say(step, [error.name, errno, sqlState, sqlMessage, (error.errors ?? []).map((item) => [item.path, item.type, item.value])]);
}

function models(sequelize) {
  const plain = { timestamps: false };
  const Author = sequelize.define('Author', {
    name: { type: DataTypes.STRING(60), allowNull: false, unique: true, comment: 'as on the cover' },
    born: DataTypes.DATEONLY,
    alive: { type: DataTypes.BOOLEAN, defaultValue: true },
  }, plain);
  const Book = sequelize.define('Book', {
    isbn: { type: DataTypes.BIGINT.UNSIGNED, primaryKey: true },
    key: { type: DataTypes.UUID, allowNull: false },
    title: { type: DataTypes.STRING, allowNull: false, defaultValue: 'untitled' },
    binaryTitle: DataTypes.STRING.BINARY,
    code: DataTypes.CHAR(4),
    tiny: DataTypes.TINYINT,
    small: DataTypes.SMALLINT.UNSIGNED,
    medium: DataTypes.MEDIUMINT,
    pages: DataTypes.INTEGER.UNSIGNED.ZEROFILL,
    price: DataTypes.DECIMAL(10, 2),
    weight: DataTypes.FLOAT,
    height: DataTypes.DOUBLE,
    opens: DataTypes.TIME,
    published: DataTypes.DATE(6),
    summary: DataTypes.TEXT,
    note: DataTypes.TEXT('tiny'),
    full: DataTypes.TEXT('long'),
    cover: DataTypes.BLOB,
    scan: DataTypes.BLOB('long'),
    kind: { type: DataTypes.ENUM('novel', "poet's", 'größe'), defaultValue: 'novel' },
    tags: DataTypes.JSON,
    place: DataTypes.GEOMETRY('POINT'),
    area: DataTypes.GEOMETRY,
  }, { ...plain, indexes: [{ fields: ['title', { name: 'price', order: 'DESC' }], name: 'by_title' }, { type: 'FULLTEXT', fields: ['summary'] }], comment: 'of all types' });
  const Shop = sequelize.define('Shop', { city: DataTypes.STRING(40) }, { timestamps: true, paranoid: true, underscored: true, tableName: 'läden' });
  Author.hasMany(Book, { foreignKey: { name: 'authorId', allowNull: true }, onDelete: 'SET NULL', onUpdate: 'CASCADE' });
  Book.belongsTo(Author, { foreignKey: 'authorId' });
  Book.belongsToMany(Shop, { through: 'Stock', timestamps: false });
  Shop.belongsToMany(Book, { through: 'Stock', timestamps: false });
  return { Author, Book, Shop };
}

async function introspection(sequelize) {
  const queries = sequelize.getQueryInterface();
  for (const statement of everyTypeStatements()) await sequelize.query(statement, { logging: false });
  const tables = await queries.showAllTables();
  say('tables', tables);
  for (const table of tables.map((found) => found.tableName ?? found)) {
    say(`describe ${table}`, await queries.describeTable(table));
    say(`indexes of ${table}`, await queries.showIndex(table));
    say(`foreign keys of ${table}`, await queries.getForeignKeyReferencesForTable(table));
    say(`constraints of ${table}`, await queries.showConstraint(table));
  }
  say('version', await queries.databaseVersion());
  say('exists', [await queries.tableExists('every_type'), await queries.tableExists('nowhere')]);
  const rows = await sequelize.query('SELECT * FROM every_type ORDER BY id', { type: QueryTypes.SELECT });
  assert.equal(rows.length, 5);
  rows.forEach((row) => say('every type', row));
}

async function records({ Author, Book, Shop }) {
  const ada = await Author.create({ name: 'Ada 😀', born: '1815-12-10' });
  const authors = await Author.bulkCreate([{ name: "O'Brien" }, { name: 'Ü \\ "', alive: false }]);
  say('created', [ada, ...authors].map((author) => author.toJSON()));
  const published = new Date('2024-02-29T12:00:00.123Z');
  const book = await Book.create({
    isbn: '9783161484100', key: '123e4567-e89b-12d3-a456-426655440000', title: 'Notes', binaryTitle: 'x', code: 'ab', tiny: -1, small: 65535, medium: -8388608,
    pages: 7, price: '12345678.90', weight: 1.5, height: 2.25, opens: '08:30:00', published, summary: 'words', note: 'n', full: 'f'.repeat(70000),
    cover: Buffer.from([0, 1, 255]), scan: Buffer.alloc(100000, 7), kind: "poet's", tags: { a: [1, null, 'é'] },
    place: { type: 'Point', coordinates: [1.5, -2] }, area: { type: 'Polygon', coordinates: [[[0, 0], [1, 0], [1, 1], [0, 0]]] }, authorId: ada.id,
  });
  await Book.create({ isbn: 2, key: 'x' });
  await book.reload();
  say('reloaded', book.toJSON());
  assert.equal(book.published.getTime(), published.getTime());
  const shop = await Shop.create({ city: 'Porto' });
  // What the clock gave must not show.
  await Shop.sequelize.query("UPDATE `läden` SET created_at = '2024-01-01', updated_at = '2024-01-02'");
  await book.addShop(shop);
  const found = await Author.findAll({ include: [{ model: Book, include: [Shop] }], order: [['id', 'ASC']] });
  say('with books', found.map((author) => author.toJSON()));
  say('counted', await Book.findAndCountAll({ where: { price: { [Op.gt]: 5 }, title: { [Op.like]: '%ot%' } }, attributes: ['isbn'], limit: 1 }).then(({ count, rows }) => [count, rows.length]));
  say('in JSON', await Book.count({ where: { 'tags.a[2]': 'é' } }));
  say('updated', await Book.update({ price: 1, tags: null }, { where: { isbn: 2 } }));
  say('upserted', await Author.upsert({ id: 1, name: 'Ada L.' }).then(([author, created]) => [author.toJSON(), created]));
  await book.increment({ pages: 3 });
  say('found or made', await Author.findOrCreate({ where: { name: 'New' }, defaults: { alive: false } }).then(([author, made]) => [author.toJSON(), made]));
  say('aggregates', [await Book.sum('price'), await Book.max('pages'), await Author.count({ group: ['alive'] })]);
  say('deleted', await Author.destroy({ where: { id: 2 } }));
  await Author.truncate({ cascade: false }).catch((error) => say('truncate', [error.name, error.parent.errno]));
}

async function raw(sequelize) {
  const given = [
    ['SELECT :a AS a, :b AS b', { replacements: { a: "it's", b: null } }],
    ['SELECT ? AS a, ? AS b', { replacements: [1, new Date(0)] }],
    ['SELECT $a AS a, $b AS b', { bind: { a: 'bound 😀', b: 2.5 } }],
    ['SELECT $1 AS a, $2 AS b', { bind: [Buffer.from([1, 2]), '$'] }],
  ];
  for (const [sql, more] of given) say('raw', await sequelize.query(sql, { type: QueryTypes.SELECT, ...more }));
  say('raw insert', await sequelize.query("INSERT INTO Authors (name) VALUES ('raw'), ('raw 2')", { type: QueryTypes.INSERT }));
  say('raw update', await sequelize.query("UPDATE Authors SET alive = 0 WHERE name LIKE 'raw%'", { type: QueryTypes.UPDATE }));
  const rows = await sequelize.query('SELECT seq FROM seq_1_to_100000', { type: QueryTypes.SELECT });
  assert.equal(rows.reduce((sum, row) => sum + row.seq, 0), 5000050000);
}

async function transactions(sequelize, { Author }) {
  await sequelize.transaction(async (transaction) => {
    await Author.create({ name: 'kept' }, { transaction });
  });
  await assert.rejects(sequelize.transaction({ isolationLevel: Transaction.ISOLATION_LEVELS.SERIALIZABLE }, async (transaction) => {
    await Author.create({ name: 'not kept' }, { transaction });
    throw new Error('back');
  }), /back/);
  const outer = await sequelize.transaction();
  await Author.update({ alive: true }, { where: {}, transaction: outer });
  const inner = await sequelize.transaction({ transaction: outer });
  await Author.destroy({ where: {}, transaction: inner });
  await inner.rollback();
  say('locked', (await Author.findAll({ lock: outer.LOCK.UPDATE, transaction: outer, order: ['id'] })).map((author) => author.name));
  await outer.commit();
  assert.equal(await Author.count({ where: { name: ['kept', 'not kept'] } }), 1);
}

async function errors(sequelize, { Author, Book }) {
  await refused('unique', 'SequelizeUniqueConstraintError', () => Author.create({ name: 'kept' }));
  await refused('foreign key', 'SequelizeForeignKeyConstraintError', () => Book.create({ isbn: 3, key: 'k', authorId: 999 }));
  await refused('syntax', 'SequelizeDatabaseError', () => sequelize.query('SELEC 1'));
  await refused('unknown table', 'SequelizeDatabaseError', () => sequelize.query('SELECT * FROM nowhere'));
  await refused('too long', 'SequelizeDatabaseError', () => Author.create({ name: 'x'.repeat(61) }));
  await refused('unknown constraint', 'SequelizeUnknownConstraintError', () => sequelize.getQueryInterface().removeConstraint('Books', 'nothing'));
  await refused('wrong password', 'SequelizeAccessDeniedError', async () => {
    const { host, port, user, database, ssl } = options();
    const other = new Sequelize(database, user, 'wrong', { host, port, dialect: 'mysql', logging: false, dialectOptions: { ssl } });
    return other.authenticate().finally(() => other.close());
  });
}

/** What migrations do. */
async function migrations(sequelize) {
  const queries = sequelize.getQueryInterface();
  await queries.createTable('moved', { id: { type: DataTypes.INTEGER, autoIncrement: true, primaryKey: true }, a: DataTypes.STRING(10) }, { charset: 'latin1', comment: "it's" });
  await queries.addColumn('moved', 'b', { type: DataTypes.DECIMAL(5, 1), allowNull: false, defaultValue: 1.5, after: 'id' });
  await queries.changeColumn('moved', 'a', { type: DataTypes.TEXT, allowNull: true });
  await queries.renameColumn('moved', 'a', 'ä');
  await queries.addIndex('moved', ['b'], { name: 'by_b', unique: true });
  await queries.addColumn('moved', 'author', { type: DataTypes.INTEGER, references: { model: 'Authors', key: 'id' } });
  await queries.addConstraint('moved', { type: 'unique', fields: ['author', 'b'], name: 'both' });
  await queries.bulkInsert('moved', [{ b: 1, ä: 'x' }, { b: 2, ä: null }]);
  say('moved', await queries.describeTable('moved'));
  say('moved, indexes', await queries.showIndex('moved'));
  await refused('in use', 'SequelizeDatabaseError', () => queries.removeConstraint('moved', 'both'));
  await queries.removeConstraint('moved', 'moved_author_foreign_idx');
  await queries.removeConstraint('moved', 'both');
  await queries.removeIndex('moved', 'by_b');
  await queries.removeColumn('moved', 'author');
  await queries.renameTable('moved', 'moved_on');
  say('moved on', await sequelize.query('SELECT * FROM moved_on ORDER BY id', { type: QueryTypes.SELECT }));
  await queries.bulkDelete('moved_on', { b: 1 });
  await queries.dropTable('moved_on');
  await queries.createDatabase(`${DATABASE}_other`);
  await queries.dropDatabase(`${DATABASE}_other`);
}

async function predict() {
  const sequelize = open(false);
  const { col, fn, literal, where } = Sequelize;
  const Photo = sequelize.define('Photo', { photo: DataTypes.STRING(200) }, { tableName: 'photos', timestamps: false });
  const Kind = sequelize.define('Kind', { kind: DataTypes.STRING(40) }, { tableName: 'kinds', timestamps: false });
  const label = fn('ml.predict', 'apparel', col('photo'));
  const photos = await Photo.findAll({ attributes: ['id', [label, 'label']], order: ['id'] });
  assert.deepEqual(photos.map((photo) => photo.get('label')), EXPECT);
  const wanted = EXPECT[0];
  const rows = await sequelize.query("SELECT id FROM photos WHERE ml.predict('apparel', photo) = $1 ORDER BY id", { bind: [wanted], type: QueryTypes.SELECT });
  assert.equal(rows.length, EXPECT.filter((found) => found === wanted).length);
  const plain = (found) => found.map((row) => row.get({ plain: true }));
  const counted = { attributes: [[label, 'label'], [fn('COUNT', col('id')), 'n']], group: [label], order: [[literal('n'), 'DESC'], [literal('label'), 'ASC']] };
  say('grouped', plain(await Photo.findAll(counted)));
  say('having', plain(await Photo.findAll({ ...counted, having: literal('n > 1') })));
  say('where', plain(await Photo.findAll({ attributes: ['id'], where: where(label, wanted), order: ['id'] })));
  say('in', plain(await Photo.findAll({ attributes: ['id', [label, 'label']], where: { [Op.and]: [where(label, { [Op.in]: EXPECT.slice(0, 2) }), { id: { [Op.lt]: 15 } }] }, order: [[label, 'ASC'], 'id'] })));
  say('like', await Photo.count({ where: where(label, { [Op.like]: 'S%' }) }));
  say('counted', await Photo.findAndCountAll({ attributes: ['id', [literal("ml.apparel(photo)"), 'label']], where: where(label, { [Op.ne]: wanted }), limit: 3, order: ['id'] }).then(({ count, rows: some }) => [count, plain(some)]));
  say('distinct', plain(await Photo.findAll({ attributes: [[fn('COUNT', fn('DISTINCT', label)), 'n']] })));
  for (const bind of [{ labels: wanted, path: 'photos/00002.png' }, { labels: 'none', path: 'photos/00003.png' }]) {
    say('bound', await sequelize.query("SELECT id, ml.apparel($path) AS other FROM photos WHERE ml.predict('apparel', photo) = $labels ORDER BY id", { bind, type: QueryTypes.SELECT }));
  }
  say('replaced', await sequelize.query("SELECT COUNT(*) AS n FROM photos WHERE ml.predict('apparel', photo) IN (:labels)", { replacements: { labels: EXPECT.slice(0, 3) }, type: QueryTypes.SELECT }));
  await Kind.sync();
  await sequelize.transaction(async (transaction) => {
    say('inserted', await sequelize.query("INSERT INTO kinds (id, kind) SELECT id, ml.predict('apparel', photo) FROM photos", { type: QueryTypes.INSERT, transaction }));
    say('updated', await Kind.update({ kind: literal("(SELECT UPPER(ml.predict('apparel', photo)) FROM photos WHERE photos.id = Kind.id)") }, { where: { id: { [Op.lt]: 4 } }, transaction }).catch((error) => error.parent?.errno));
  });
  say('kinds', plain(await Kind.findAll({ order: ['id'] })));
  say('deleted', await Kind.destroy({ where: { id: { [Op.in]: literal("(SELECT id FROM photos WHERE ml.apparel(photo) = 'Sneaker')") } } }));
  await Kind.drop();
  await sequelize.close();
}

async function main() {
  if (process.env.CLIENT_PREDICT === '1') return predict();
  const sequelize = open();
  await sequelize.authenticate();
  const made = models(sequelize);
  await sequelize.sync();
  // Finds the tables and changes what differs.
  await sequelize.sync({ alter: true });
  await introspection(sequelize);
  await records(made);
  await raw(sequelize);
  await transactions(sequelize, made);
  await errors(sequelize, made);
  await migrations(sequelize);
  await sequelize.drop();
  say('tables left', await sequelize.getQueryInterface().showAllTables());
  await sequelize.close();
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exitCode = 1;
});
