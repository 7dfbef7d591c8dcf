"""The OpenAPI description of the JSON API: shapes, parameters and responses by topic, and the document made of them."""
