from actors.adapters.ledger import PostgresLedger
import time
def Connections(url, replica): return PostgresLedger(url, replica, lambda: time.time_ns()//1_000_000)
