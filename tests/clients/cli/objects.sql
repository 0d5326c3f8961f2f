-- Objects of every kind that a dump holds, beside the table of every type.
CREATE TABLE parent (id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, name VARCHAR(40) NOT NULL UNIQUE) COMMENT 'für ''alle''';
CREATE TABLE child (
  id INT UNSIGNED PRIMARY KEY,
  parent INT UNSIGNED,
  data BLOB,
  at TIMESTAMP(3) NOT NULL DEFAULT '2024-01-01 00:00:00',
  CONSTRAINT of_parent FOREIGN KEY (parent) REFERENCES parent (id) ON DELETE SET NULL ON UPDATE CASCADE,
  CHECK (id > 0)
);
CREATE TABLE parted (id INT NOT NULL, n INT) PARTITION BY RANGE (id) (PARTITION low VALUES LESS THAN (10), PARTITION high VALUES LESS THAN MAXVALUE);
CREATE TABLE aged (id INT PRIMARY KEY, n INT) ENGINE = Aria;
CREATE SEQUENCE numbers START WITH 100 INCREMENT BY 10;
INSERT INTO parent (name) VALUES ('Ada'), ('Müller'), ('😀'), ('it''s \\ "so"');
INSERT INTO child (id, parent, data) SELECT seq, 1 + seq % 4, UNHEX(MD5(seq)) FROM seq_1_to_3000;
INSERT INTO parted SELECT seq, seq * 2 FROM seq_1_to_20;
INSERT INTO aged VALUES (1, NULL), (2, 2);
CREATE VIEW children AS SELECT p.name, COUNT(*) AS children FROM parent p JOIN child c ON c.parent = p.id GROUP BY p.name;
CREATE VIEW named AS SELECT name FROM children WHERE children > 1;
DELIMITER $$
CREATE TRIGGER fill BEFORE INSERT ON parted FOR EACH ROW BEGIN SET NEW.n = COALESCE(NEW.n, NEW.id * 2); END$$
CREATE PROCEDURE add_parent(IN given VARCHAR(40), OUT made INT UNSIGNED)
BEGIN
  -- A comment; with a semicolon.
  INSERT INTO parent (name) VALUES (given);
  SET made = LAST_INSERT_ID();
END$$
CREATE FUNCTION doubled(n INT) RETURNS INT DETERMINISTIC RETURN n * 2$$
CREATE EVENT sometimes ON SCHEDULE EVERY 1 YEAR STARTS '2037-01-01 00:00:00' DISABLE DO BEGIN DELETE FROM aged; END$$
DELIMITER ;
