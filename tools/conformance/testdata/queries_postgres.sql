SELECT count(*), sum(population), max(name) FROM countries;

SELECT c.name, count(*) FROM countries c JOIN cities t ON t.country = c.code GROUP BY c.name ORDER BY 2 DESC, 1 LIMIT 10;

SELECT id, name, credit, feeling, active, created FROM customers WHERE id BETWEEN 10 AND 30 ORDER BY id;

SELECT feeling, count(*), avg(credit), sum(credit) FROM customers GROUP BY feeling ORDER BY feeling;

SELECT p.id, p.sku, p.price, p.weight, p.tags, p.attributes, p.added AT TIME ZONE 'UTC' FROM products p WHERE p.id <= 12 ORDER BY p.id;

SELECT attributes->>'color' AS color, count(*), min(price), max(price) FROM products GROUP BY 1 ORDER BY 1;

WITH RECURSIVE tree AS (SELECT id, name, 1 AS depth FROM categories WHERE parent IS NULL UNION ALL SELECT c.id, c.name, t.depth + 1 FROM categories c JOIN tree t ON c.parent = t.id) SELECT depth, count(*), min(name) FROM tree GROUP BY depth ORDER BY depth;

SELECT o.customer, sum(l.quantity * l.price) AS spent, count(DISTINCT o.id) FROM orders o JOIN lines l ON l.order_id = o.id GROUP BY o.customer HAVING sum(l.quantity * l.price) > 2000 ORDER BY spent DESC, o.customer LIMIT 20;

SELECT * FROM order_totals WHERE total > 3000 ORDER BY id LIMIT 15;

SELECT date_trunc('month', created) AS month, count(*) FROM customers GROUP BY 1 ORDER BY 1;

SELECT id, placed AT TIME ZONE 'UTC', note FROM orders WHERE note IS NOT NULL ORDER BY id LIMIT 5;

SELECT stars, count(*), count(body), string_agg(id::text, ',' ORDER BY id) FILTER (WHERE id < 40) FROM reviews GROUP BY stars ORDER BY stars;

SELECT id, encode(payload, 'hex'), body FROM reviews WHERE body LIKE '%14%' ORDER BY id LIMIT 10;

SELECT name, price, rank() OVER (PARTITION BY category ORDER BY price DESC) AS r FROM products WHERE category IN (1, 2, 3) ORDER BY category, r, name;

SELECT c.name, t.name FROM customers c LEFT JOIN cities t ON t.id = c.city WHERE c.id % 100 = 0 ORDER BY c.id;

SELECT warehouse, sum(quantity), avg(quantity)::numeric(8,3) FROM stock GROUP BY warehouse ORDER BY warehouse;

SELECT w.id, w.opened, t.name FROM warehouses w JOIN cities t ON t.id = w.city ORDER BY w.id;

SELECT name FROM products WHERE price > 900 AND name ILIKE 'PRODUCT 1%' ORDER BY name;

SELECT count(*) FROM customers WHERE NOT EXISTS (SELECT 1 FROM orders o WHERE o.customer = customers.id) OR email = ANY (ARRAY['c1@example.org', 'c2@example.org']);

SELECT extract(year FROM founded), count(*), min(founded), max(founded) FROM cities GROUP BY 1 ORDER BY 1;
