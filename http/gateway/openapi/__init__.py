"""The description of the API (OpenAPI 3.1), made from the types that the resources read and write."""
