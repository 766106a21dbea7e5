CREATE TABLE numbers (n INT PRIMARY KEY);
INSERT INTO numbers SELECT a.i + 10 * b.i + 100 * c.i + 1000 * d.i FROM
 (SELECT 0 i UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9) a,
 (SELECT 0 i UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9) b,
 (SELECT 0 i UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9) c,
 (SELECT 0 i UNION SELECT 1 UNION SELECT 2 UNION SELECT 3) d;
CREATE TABLE countries (code CHAR(2) NOT NULL, name VARCHAR(60) NOT NULL, population BIGINT UNSIGNED, PRIMARY KEY (code), UNIQUE KEY by_name (name));
CREATE TABLE cities (id INT UNSIGNED NOT NULL AUTO_INCREMENT, country CHAR(2) NOT NULL, name VARCHAR(80) NOT NULL, founded DATE, PRIMARY KEY (id), UNIQUE KEY in_country (country, name), CONSTRAINT city_country FOREIGN KEY (country) REFERENCES countries (code));
CREATE TABLE customers (id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, city INT UNSIGNED, name VARCHAR(80) NOT NULL, email VARCHAR(120) UNIQUE, credit DECIMAL(10,2) NOT NULL DEFAULT '0.00',
 feeling ENUM('sad','ok','happy') DEFAULT 'ok', flags SET('a','b','c'), active TINYINT(1) NOT NULL DEFAULT 1, created DATETIME NOT NULL DEFAULT '2024-01-01 00:00:00', KEY by_city (city), CONSTRAINT customer_city FOREIGN KEY (city) REFERENCES cities (id) ON DELETE SET NULL);
CREATE TABLE categories (id INT PRIMARY KEY, parent INT, name TEXT NOT NULL, FOREIGN KEY (parent) REFERENCES categories (id));
CREATE TABLE products (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, category INT NOT NULL, sku CHAR(32) NOT NULL, name VARCHAR(80) NOT NULL, price DECIMAL(12,4) NOT NULL, weight DOUBLE, attributes LONGTEXT, picture BLOB, added TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
 UNIQUE KEY by_sku (sku), KEY dear (price), FOREIGN KEY (category) REFERENCES categories (id));
CREATE TABLE warehouses (id SMALLINT PRIMARY KEY, city INT UNSIGNED NOT NULL, opened TIME, since YEAR, FOREIGN KEY (city) REFERENCES cities (id));
CREATE TABLE stock (warehouse SMALLINT NOT NULL, product BIGINT NOT NULL, quantity INT NOT NULL DEFAULT 0, PRIMARY KEY (warehouse, product), FOREIGN KEY (warehouse) REFERENCES warehouses (id) ON DELETE CASCADE, FOREIGN KEY (product) REFERENCES products (id) ON DELETE CASCADE) COMMENT='what is where';
CREATE TABLE orders (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, customer INT UNSIGNED NOT NULL, placed DATETIME(3) NOT NULL, note TEXT, KEY recent (customer, placed), FOREIGN KEY (customer) REFERENCES customers (id));
CREATE TABLE line_items (order_id BIGINT NOT NULL, nr INT NOT NULL, product BIGINT NOT NULL, quantity INT NOT NULL CHECK (quantity > 0), price DECIMAL(12,4) NOT NULL, PRIMARY KEY (order_id, nr), FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE, FOREIGN KEY (product) REFERENCES products (id));
CREATE TABLE reviews (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, product BIGINT NOT NULL, customer INT UNSIGNED NOT NULL, stars TINYINT UNSIGNED, body MEDIUMTEXT, payload VARBINARY(32), FOREIGN KEY (product) REFERENCES products (id), FOREIGN KEY (customer) REFERENCES customers (id));
CREATE VIEW order_totals AS SELECT o.id AS id, o.customer AS customer, SUM(l.quantity * l.price) AS total FROM orders o JOIN line_items l ON l.order_id = o.id GROUP BY o.id, o.customer;

INSERT INTO countries SELECT CONCAT(CHAR(65 + n DIV 26), CHAR(65 + n % 26)), CONCAT('Country ', n), n * 100003 FROM numbers WHERE n < 50;
INSERT INTO cities (country, name, founded) SELECT CONCAT(CHAR(65 + (n % 50) DIV 26), CHAR(65 + (n % 50) % 26)), CONCAT('City ', n), DATE_ADD('1200-01-01', INTERVAL n * 37 DAY) FROM numbers WHERE n < 200 ORDER BY n;
INSERT INTO customers (city, name, email, credit, feeling, flags, active, created) SELECT IF(n % 11 = 0, NULL, 1 + n % 200), CONCAT('Customer ', n), CONCAT('c', n, '@example.org'), (n * 7 % 1000) + 0.25, ELT(1 + n % 3, 'sad', 'ok', 'happy'), ELT(1 + n % 4, 'a', 'a,b', 'b,c', NULL), n % 5 <> 0, DATE_ADD('2024-01-01', INTERVAL n * 67 MINUTE) FROM numbers WHERE n BETWEEN 1 AND 1000 ORDER BY n;
INSERT INTO categories SELECT n, IF(n > 5, 1 + n % 5, NULL), CONCAT('Category ', n) FROM numbers WHERE n BETWEEN 1 AND 30 ORDER BY n;
INSERT INTO products (category, sku, name, price, weight, attributes, picture, added) SELECT 1 + n % 30, MD5(n), CONCAT('Product ', n), (n * 13 % 997) + 0.0625, n / 8, CONCAT('{"size": ', n % 9, ', "color": "', ELT(1 + n % 2, 'red', 'blue'), '"}'), UNHEX(MD5(n)), DATE_ADD('2023-06-01 12:00:00', INTERVAL n * 3 HOUR) FROM numbers WHERE n BETWEEN 1 AND 600 ORDER BY n;
INSERT INTO warehouses SELECT n, n * 10, SEC_TO_TIME(21600 + n * 1800), 1990 + n FROM numbers WHERE n BETWEEN 1 AND 6;
INSERT INTO stock SELECT w.n, p.n, (w.n * p.n) % 41 FROM numbers w, numbers p WHERE w.n BETWEEN 1 AND 6 AND p.n BETWEEN 1 AND 200;
INSERT INTO orders (customer, placed, note) SELECT 1 + (n * 17) % 1000, DATE_ADD('2024-03-01 08:00:00.125', INTERVAL n * 47 MINUTE), IF(n % 4 = 0, 'line one\nline\ttwo \\ ''back''', NULL) FROM numbers WHERE n BETWEEN 1 AND 1800 ORDER BY n;
INSERT INTO line_items SELECT 1 + n DIV 2, 1 + n % 2, 1 + (n * 31) % 600, 1 + n % 7, (n % 500) + 0.5 FROM numbers WHERE n < 3600;
INSERT INTO reviews (product, customer, stars, body, payload) SELECT 1 + n % 600, 1 + (n * 3) % 1000, 1 + n % 5, IF(n % 6 <> 0, CONCAT('Größe ', n, ' — fine'), NULL), UNHEX(MD5(n)) FROM numbers WHERE n BETWEEN 1 AND 1514 ORDER BY n;
DROP TABLE numbers;
