def PostgresLeases(c, now_ms):
    old=c.claims
    c.claims=lambda n: old()
    return c
