-- What lies in a cart. Putting a product in adds to what is there, taking it out takes out all of it.
--
-- An event that adds no pieces, or fewer than none, is refused, and parks its cart until somebody has looked: the cart
-- would be wrong from there on. Taking out what is not in the cart does nothing.

CREATE TABLE cart (
  cart_id  text,
  item_id  text,
  quantity int NOT NULL CHECK (quantity > 0),
  added_at timestamptz NOT NULL,
  PRIMARY KEY (cart_id, item_id)
);
CREATE INDEX ON cart (cart_id, added_at);
CREATE INDEX ON cart (added_at);

COMMENT ON TABLE cart IS 'What lies in carts, one row a cart and product.';
COMMENT ON COLUMN cart.item_id IS 'The product''s product_id.';
COMMENT ON COLUMN cart.quantity IS 'Pieces.';
COMMENT ON COLUMN cart.added_at IS 'When pieces of it were last put in.';

INSERT INTO cart (cart_id, item_id, quantity, added_at)
SELECT e.cart_id, e.item_id, e.quantity, e.added_at FROM cart.item_added_to_cart e
ON CONFLICT (cart_id, item_id) DO UPDATE
SET quantity = cart.quantity + EXCLUDED.quantity, added_at = EXCLUDED.added_at;

DELETE FROM cart c USING cart.item_removed_from_cart e WHERE c.cart_id = e.cart_id AND c.item_id = e.item_id;

-- A cart does not say whose it is, so the token does.

GRANT SELECT ON cart TO customer, staff, admin;
CREATE POLICY own ON cart FOR SELECT TO customer USING (cart_id = claim('cart_id'));
CREATE POLICY everything ON cart FOR SELECT TO staff, admin USING (true);
