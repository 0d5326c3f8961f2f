-- Statements of all shapes over the demo's shop, each ended by a semicolon and a line break.

-- One row, few rows, all rows.
SELECT id, ml.predict('apparel', photo) FROM products WHERE id = 17;
SELECT id, ml.predict('apparel', photo) FROM products WHERE id <= 10;
SELECT id, ml.apparel(photo) FROM products WHERE id BETWEEN 2001 AND 2100;
SELECT id, ml.apparel(photo) FROM products;
SELECT ml.apparel('products/00012.png');

-- Filters on predictions, with and without filters of the store.
SELECT COUNT(*) FROM products WHERE ml.predict('apparel', photo) = 'Bag';
SELECT COUNT(*) FROM products WHERE ml.predict('apparel', photo) IN ('Sneaker', 'Ankle boot');
SELECT COUNT(*) FROM products WHERE ml.predict('apparel', photo) NOT IN ('Shirt', 'Coat', 'Pullover') AND id % 10 = 0;
SELECT id FROM products WHERE ml.predict('apparel', photo) = 'Bag' AND warehouse = 'Porto';
SELECT id FROM products WHERE ml.predict('apparel', photo) <> 'Bag' AND stock = 0 AND price > 90;
SELECT id FROM products WHERE ml.apparel(photo) = 'Dress' OR price < 8;
SELECT id FROM products WHERE (ml.apparel(photo) = 'Dress' AND stock > 5) OR (ml.apparel(photo) = 'Bag' AND stock = 0);
SELECT id FROM products WHERE ml.apparel(photo) LIKE 'S%' AND id < 700;

-- Order and LIMIT.
SELECT id, sku, price, stock, ml.predict('apparel', photo) AS kind FROM products WHERE warehouse = 'Porto' AND stock > 0 AND price < 60 AND ml.predict('apparel', photo) = 'Bag' ORDER BY price LIMIT 10;
SELECT id FROM products WHERE ml.apparel(photo) = 'Dress' LIMIT 5;
SELECT id FROM products WHERE ml.apparel(photo) = 'Dress' AND price < 30 ORDER BY id LIMIT 20;
SELECT id FROM products WHERE ml.apparel(photo) = 'Sandal' ORDER BY price DESC LIMIT 3;
SELECT id, ml.apparel(photo) AS k FROM products WHERE id <= 800 ORDER BY k, id;
SELECT id, ml.apparel(photo) FROM products ORDER BY id LIMIT 40 OFFSET 200;

-- Groups and aggregates.
SELECT ml.apparel(photo) AS k, COUNT(*) FROM products GROUP BY k;
SELECT warehouse, ml.apparel(photo) AS k, COUNT(*), AVG(price) FROM products GROUP BY 1, 2;
SELECT warehouse, SUM(ml.apparel(photo) = 'Bag') FROM products GROUP BY warehouse;
SELECT MAX(price) FROM products WHERE ml.apparel(photo) = 'Pullover';
SELECT COUNT(DISTINCT ml.apparel(photo)) FROM products WHERE warehouse = 'Delft';
SELECT ml.apparel(photo) AS k, MIN(price) FROM products WHERE stock > 0 GROUP BY k HAVING COUNT(*) > 300;

-- Scores, two models, CASE.
SELECT id, ml.predict_proba('apparel', 'Shirt', photo) FROM products WHERE id BETWEEN 41 AND 50;
SELECT id FROM products WHERE ml.predict_proba('apparel', 'Shirt', photo) > 0.7 AND id <= 1500;
SELECT AVG(ml.predict_proba('apparel', 'Coat', photo)) FROM products WHERE warehouse = 'Porto';
SELECT id, ml.predict('apparel_nano', photo), ml.apparel(photo) FROM products WHERE id <= 300;
SELECT COUNT(*) FROM products WHERE ml.predict('apparel_nano', photo) <> ml.predict('apparel_large', photo) AND id <= 1200;
SELECT SUM(CASE ml.apparel(photo) WHEN 'Bag' THEN stock WHEN 'Dress' THEN 2 * stock ELSE 0 END) FROM products WHERE id > 9000;
SELECT ml.apparel(photo) = 'Bag' FROM products WHERE id < 100 ORDER BY 1;

-- Joins.
SELECT b.id, ml.apparel(b.photo) AS kind, p.warehouse, p.price FROM product_blobs b JOIN products p ON p.id = b.id WHERE p.stock = 0 AND ml.apparel(b.photo) IN ('Sneaker', 'Sandal', 'Ankle boot') ORDER BY p.price DESC LIMIT 10;
SELECT t.label, ml.predict('apparel', p.photo) AS predicted FROM products p JOIN truth t ON t.id = p.id WHERE p.id <= 1000;
SELECT COUNT(*) FROM products p JOIN truth t ON t.id = p.id WHERE ml.apparel(p.photo) = t.label AND p.warehouse = 'Porto';
SELECT a.id, b.id FROM products a JOIN products b ON b.id = a.id + 1 WHERE a.id < 200 AND ml.apparel(a.photo) = ml.apparel(b.photo);
SELECT id, ml.apparel(photo) FROM product_blobs;
SELECT COUNT(*) FROM product_blobs WHERE ml.apparel(photo) = 'Trouser';

-- Sub-queries, derived tables, UNION, WITH.
SELECT * FROM (SELECT id, ml.apparel(photo) k, price FROM products WHERE id < 2000) d WHERE k = 'Coat' ORDER BY price DESC LIMIT 3;
SELECT p.id FROM products p WHERE EXISTS (SELECT 1 FROM truth t WHERE t.id = p.id AND t.label = ml.apparel(p.photo)) AND p.id < 500;
SELECT id FROM truth WHERE label = 'Bag' AND id IN (SELECT id FROM products WHERE ml.apparel(photo) = 'Bag' AND price < 20);
SELECT warehouse, (SELECT COUNT(*) FROM products q WHERE q.warehouse = p.warehouse AND ml.apparel(q.photo) = 'Bag') AS bags FROM products p GROUP BY warehouse;
SELECT 'cheap' AS what, COUNT(*) FROM products WHERE price < 10 AND ml.apparel(photo) = 'Bag' UNION ALL SELECT 'dear', COUNT(*) FROM products WHERE price > 100 AND ml.apparel(photo) = 'Bag';
WITH kinds AS (SELECT id, ml.apparel(photo) AS kind FROM products WHERE warehouse = 'Porto') SELECT kind, COUNT(*) FROM kinds GROUP BY kind;
SELECT DISTINCT ml.apparel(photo) FROM products WHERE stock > 90;
SELECT id, RANK() OVER (PARTITION BY ml.apparel(photo) ORDER BY price) AS place FROM products WHERE id <= 600;

-- Constraints and strategies.
SELECT /*+ ML(min_accuracy = 0.9) */ COUNT(*) FROM products WHERE ml.apparel(photo) IN ('Sneaker', 'Ankle boot');
SELECT /*+ ML(strategy = most_accurate) */ COUNT(*) FROM products WHERE ml.apparel(photo) = 'Shirt' AND id <= 4000;
SELECT /*+ ML(strategy = all) */ COUNT(*) FROM products WHERE ml.apparel(photo) = 'Bag' AND id <= 500;
SELECT /*+ ML(strategy = cheapest) */ id FROM products WHERE ml.apparel(photo) = 'Bag' AND id <= 3000;
