SELECT COUNT(*), SUM(population), MAX(name) FROM countries;

SELECT c.name, COUNT(*) FROM countries c JOIN cities t ON t.country = c.code GROUP BY c.name ORDER BY 2 DESC, 1 LIMIT 10;

SELECT id, name, credit, feeling, flags, active, created FROM customers WHERE id BETWEEN 10 AND 30 ORDER BY id;

SELECT feeling, COUNT(*), AVG(credit), SUM(credit) FROM customers GROUP BY feeling ORDER BY feeling;

SELECT id, sku, price, weight, attributes, HEX(picture), added FROM products WHERE id <= 12 ORDER BY id;

SELECT JSON_UNQUOTE(JSON_EXTRACT(attributes, '$.color')) AS color, COUNT(*), MIN(price), MAX(price) FROM products GROUP BY color ORDER BY color;

WITH RECURSIVE tree AS (SELECT id, name, 1 AS depth FROM categories WHERE parent IS NULL UNION ALL SELECT c.id, c.name, t.depth + 1 FROM categories c JOIN tree t ON c.parent = t.id) SELECT depth, COUNT(*), MIN(name) FROM tree GROUP BY depth ORDER BY depth;

SELECT o.customer, SUM(l.quantity * l.price) AS spent, COUNT(DISTINCT o.id) FROM orders o JOIN line_items l ON l.order_id = o.id GROUP BY o.customer HAVING spent > 2000 ORDER BY spent DESC, o.customer LIMIT 20;

SELECT * FROM order_totals WHERE total > 3000 ORDER BY id LIMIT 15;

SELECT DATE_FORMAT(created, '%Y-%m') AS month, COUNT(*) FROM customers GROUP BY month ORDER BY month;

SELECT id, placed, note FROM orders WHERE note IS NOT NULL ORDER BY id LIMIT 5;

SELECT stars, COUNT(*), COUNT(body), GROUP_CONCAT(IF(id < 40, id, NULL) ORDER BY id SEPARATOR ',') FROM reviews GROUP BY stars ORDER BY stars;

SELECT id, HEX(payload), body FROM reviews WHERE body LIKE '%14%' ORDER BY id LIMIT 10;

SELECT name, price, RANK() OVER (PARTITION BY category ORDER BY price DESC) AS r FROM products WHERE category IN (1, 2, 3) ORDER BY category, r, name;

SELECT c.name, t.name FROM customers c LEFT JOIN cities t ON t.id = c.city WHERE c.id % 100 = 0 ORDER BY c.id;

SELECT warehouse, SUM(quantity), ROUND(AVG(quantity), 3) FROM stock GROUP BY warehouse ORDER BY warehouse;

SELECT w.id, w.opened, w.since, t.name FROM warehouses w JOIN cities t ON t.id = w.city ORDER BY w.id;

SELECT name FROM products WHERE price > 900 AND name LIKE 'PRODUCT 1%' ORDER BY name;

SELECT COUNT(*) FROM customers WHERE NOT EXISTS (SELECT 1 FROM orders o WHERE o.customer = customers.id) OR email IN ('C1@example.org', 'c2@example.org');

SELECT YEAR(founded), COUNT(*), MIN(founded), MAX(founded) FROM cities GROUP BY YEAR(founded) ORDER BY 1;
