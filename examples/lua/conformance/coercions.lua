-- Coercions between strings and numbers in arithmetic, concatenation, and calls.
print("10" + 5, "10" * "2", "3" - 1, "7" // "2", "7" % "4", "2" ^ "3", -"2", -"2.0")
print("0x10" + 0, "1e1" + 0, " 10 " + 1, "\t5\n" * 2, "10" / 2, "5." + 0, ".5" + 0)
print(math.type("10" + 0), math.type("10.0" + 0), math.type("1e1" * 1), math.type("0x10" + 0))
print("9223372036854775807" + 1, "9223372036854775808" + 0, "-9223372036854775808" - 1)
print(10 .. 20, 1.5 .. "", -1 .. "x", 1e15 .. "", 2 ^ 63 .. "", 1.0 .. "|" .. 3)

local function try(f) print(select(2, pcall(f))) end
try(function() return "abc" + 1 end)
try(function() return {} + 1 end)
try(function() return "1" + {} end)
try(function() return 1 + nil end)
try(function() return "a" .. {} end)
try(function() return nil .. "a" end)
try(function() return true .. "" end)
try(function() return -"abc" end)
try(function() return -{} end)
try(function() return "" + 1 end)
try(function() return "1 2" + 1 end)
try(function() return "0x" + 1 end)
try(function() return "1e" + 1 end)
try(function() return 1.5 | 0 end)
try(function() local two = 2; return two ^ 63 | 0 end)
try(function() return 1 & {} end)
try(function() return "10" < 5 end)

-- Library functions accept numbers for strings and strings for numbers.
print(("x"):rep("3"), string.len(1234), string.sub(12345, 2, "3"), string.upper(1.5), #tostring(12))
print(math.max("10" + 0, 9), string.char("65", 66.0), table.concat({ 1, 2.5, "x" }, 0))
print(select("2", "a", "b", "c"), ("5"):rep(2) + 1)
try(function() return string.rep("x", "y") end)
try(function() return string.rep("x", 1.5) end)
try(function() return string.rep("x", "1.5") end)
try(function() return string.char(65.5) end)

-- Strings as keys are not numbers.
local t = { [1] = "number", ["1"] = "string" }
print(t[1], t["1"], t[1.0], t["1.0"])

-- Loop bounds that are no numbers.
try(function() for i = {}, 2 do end end)
try(function() for i = 1, nil do end end)
try(function() for i = 1, 2, true do end end)
try(function() for i = 1.5, 2, 0 do end end)
try(function() for i = 1, 2, 0 do end end)
try(function() for i = 1, {} do end end)
