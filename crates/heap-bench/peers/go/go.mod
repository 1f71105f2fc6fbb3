module heapbenchpeer

go 1.25
