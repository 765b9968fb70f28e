def PostgresPayments(c): return c
