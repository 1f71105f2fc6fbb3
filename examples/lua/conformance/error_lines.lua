-- The line of an error, with every token of the statement on a line of its own, and then with two
-- tokens on each.
local cases = [=[
local a = nil ; local b = a . x
local a = nil ; local b = a [ 1 ]
local a = nil ; a . x = 1
local a = nil ; a . x . y = 1
local a = { } ; a . x . y . z = 1
local a = { } ; a . x ( )
local a = { } ; a : m ( 1 , 2 )
local a = { } ; a . b : m ( 1 , 2 )
local a = { } ; a . b . c ( 1 , 2 )
f ( 1 , 2 , 3 )
local x = f ( g ( 1 ) )
local x = 1 + nil
local x = 1 + 2 + nil + 3
local x = { } .. 'a' .. 'b'
local x = 'a' .. { } .. 'b'
local x = 'a' .. 'b' .. { }
local x = - { }
local x = not - { }
local x = # nil
local x = ~ 1.5
local x = 1 < { }
local x = { } < 1
local x = { } <= { }
local x = 1 > 'x'
if 1 < { } then end
while { } < 1 do end
repeat local x = 1 until x < { }
for i = { } , 1 do end
for i = 1 , { } do end
for i = 1 , 2 , { } do end
for k in 5 do end
for k , v in pairs ( nil ) do end
for k , v in next , 1 , 2 do end
local t = { 1 , 2 , nil + 1 , 4 }
local t = { x = 1 , y = nil + 1 }
local t = { [ 1 ] = 2 , [ nil ] = 3 }
local t = { [ nil + 1 ] = 2 }
local t = { f ( ) , g ( ) }
return f ( 1 )
return f ( 1 ) , 2
return nil + 1
return ( nil + 1 )
return ( f ) ( 1 , 2 )
local function g ( ) return nil + 1 end return ( g ( ) )
local function g ( x ) return x . y . z end local x = g ( { } )
local g = function ( ) error ( 'q' ) end g ( )
local g = function ( ) error ( 'q' , 2 ) end g ( )
error ( 'abc' )
error ( 'abc' , 1 )
assert ( false , nil + 1 )
local s = ( 'x' ) : rep ( { } )
local s = ( 'x' ) : nope ( )
string . rep ( )
string . rep ( 'x' , { } )
local x , y = 1 , nil + 1
local x , y = f ( ) , 1
x , y = 1 , nil . x
x . y , z = 1 , 2
a , b . c = 1 , 2
a . b , c = 1 , f ( )
local t = setmetatable ( { } , { __index = function ( t , k ) error ( 'i' ) end } ) local x = t . a
local t = setmetatable ( { } , { __add = function ( ) error ( 'i' ) end } ) local x = 1 + t
local t = setmetatable ( { } , { __call = 1 } ) t ( )
local x = a and b or c . d
local x = nil and 1 or nil . x
local x = ( 1 == 2 ) + 1
local x = 1 == 2 + nil
local x = 1 << { }
local x = 1 & 1.5
local x = 2 ^ { }
local x = { } ^ 2
local a , b = { } , 1 ; local x = a + b
local a , b = { } , 1 ; local x = b + a
local a = { } ; local x = 1 + a
local a = { } ; local x = a + 1
local a = { } ; local x = a == 1 + a
do local a <const> = 5 ; local x = a . b . c end
goto l ; ::l:: f ( )
if nil then elseif nil . x then end
if f ( ) then end
while f ( ) do end
repeat until f ( )
local function rec ( n ) if n == 0 then error ( 'deep' ) end return rec ( n - 1 ) + 1 end rec ( 3 )
local t = { } ; t [ nil ] = 1
local t = { } ; t [ 0/0 ] = 1
local t = { } ; function t . a . b ( ) end
function a . b . c ( ) end
function a . b : c ( ) end
f { 1 , 2 }
f 'x'
f { g ( ) }
print ( ( nil ) . x )
print ( ( nil + 1 ) )
local a ; a = a + 1
local a ; local function g ( ) a = a + 1 end g ( )
local a ; local function g ( ) return a . b end g ( )
local a ; local function g ( ) a . b = 1 end g ( )
local a ; local function g ( ) a ( ) end g ( )
local x = ... ; x . y = 1
local x = ( ... ) . y
local x = { ... } . y . z
local a ; f ( a . b , 1 )
local a ; print ( a . b , 1 )
local a ; print ( 1 , a . b )
local a ; print ( 1 , a [ 1 ] )
local a ; print ( a [ 1 ] , 2 )
local a ; print ( a [ 1 ] [ 2 ] , 2 )
local a ; local t = { a . b , 1 }
local a ; local t = { 1 , a . b }
local a ; local t = { 1 , a . b , }
local a ; local t = { x = a . b , 1 }
local a ; local t = { [ a . b ] = 1 }
local a ; local t = { [ 1 ] = a . b , 2 }
local a ; local t = { - a , 1 }
local a ; local t = { a + 1 , 1 }
local a ; local t = { a . b ; 1 }
local a ; local x , y = a . b , 1
local a ; local x , y = 1 , a . b
local a ; x , y = a . b , 1
local a ; x , y = 1 , a . b ; z = 1
local a ; x = a . b ; z = 1
local a ; x = a [ 1 ] ; z = 1
local a ; x = a [ 1 ] z = 1
local a ; return a . b , 1
local a ; return 1 , a . b
local a ; return a . b
local a ; return ( a . b )
local a ; return ( a . b ) , 1
local a ; return ( a [ 1 ] ) . c
local a ; local x = a . b + 1
local a ; local x = 1 + a . b
local a ; local x = 1 .. a . b
local a ; local x = a . b .. 1
local a ; local x = a . b and 1
local a ; local x = 1 and a . b
local a ; local x = not a . b
local a ; local x = - a . b
local a ; local x = # a . b
local a ; local x = a . b == 1
local a ; local x = 1 == a . b
local a ; local x = a . b < 1
local a ; local x = 1 < a . b
local a ; local x = a . b < a . c
local a ; if a . b then end
local a ; if not a . b then end
local a ; while a . b do end
local a ; repeat until a . b
local a ; for i = a . b , 1 do end
local a ; for i = 1 , a . b do end
local a ; for i = 1 , 1 , a . b do end
local a ; for k in a . b do end
local a ; for k in f , a . b do end
local a ; a . b . c = 1
local a ; a [ 1 ] [ 2 ] = 1
local a ; a [ 1 ] = 1
local a ; a [ 1 ] , x = 1
local a ; x , a [ 1 ] = 1
local a ; a . b , x = 1 , 2
local a ; a . b = f
local a ; a . b = 1 + 2
local a ; local function g ( ) a . b = 1 end g ( )
local a = { } ; a . b . c = a . d . e
local a = { } ; a [ a . b . c ] = 1
local a = { } ; local x = a [ a . b . c ]
local a = { } ; local x = a [ 1 ] . c
local a = { } ; local x = a . b [ 1 ]
local a = { } ; a . b [ 1 ] ( 2 )
local a = { } ; a . b . c ( 2 )
local a = { } ; a [ 1 ] [ 2 ] ( 2 )
local a = { } ; a : b ( a . c . d )
local a = { } ; a . b : c ( )
local a = { } ; print ( a . b : c ( ) )
local a = { } ; a [ 1 ] : c ( )
local a = { } ; a . b 'x'
local a = { } ; a . b { 1 }
local a = { } ; a : b 'x'
x . y = function ( ) end
x . y . z = function ( ) end
local t = setmetatable ( { } , { __newindex = function ( ) error ( 'n' ) end } ) t . x = 1
local t = setmetatable ( { } , { __newindex = function ( ) error ( 'n' ) end } ) t . x , t . y = 1 , 2
local t = setmetatable ( { } , { __newindex = function ( ) error ( 'n' ) end } ) function t . x ( ) end
local t = setmetatable ( { } , { __newindex = function ( ) error ( 'n' , 2 ) end } ) function t . x ( ) end
local t = setmetatable ( { } , { __index = function ( ) error ( 'n' , 2 ) end } ) local x = t . a . b
local t = setmetatable ( { } , { __eq = function ( ) error ( 'n' , 2 ) end } ) local x = t == { }
local t = setmetatable ( { } , { __eq = function ( ) error ( 'n' , 2 ) end } ) if t ~= { } then end
local t = setmetatable ( { } , { __concat = function ( ) error ( 'n' , 2 ) end } ) local x = 'a' .. t .. 'b'
local t = setmetatable ( { } , { __len = function ( ) error ( 'n' , 2 ) end } ) local x = # t
local t = setmetatable ( { } , { __close = 1 } ) local x = t + 1
_ENV = nil ; x = 1
local _ENV = nil ; x = 1
local _ENV = nil ; local y = x + 1
local _ENV = nil ; x ( )
local _ENV = { } ; x ( )
local _ENV = { } ; x . y . z = 1
local function v ( ... ) local x = ... + 1 end v ( { } )
local function v ( ... ) return ... . x end v ( )
local function v ( ... ) return ( ... ) . x end v ( )
local function v ( a , b ) a . x = b end v ( )
local function v ( a , b ) a [ b ] = b end v ( { } )
]=]
local function run(source)
  local f, message = load(source, "=s")
  if f then
    local levels
    local ok, caught = xpcall(f, function(m)
      levels = debug.traceback("", 2):gsub("error_lines%.lua:%d+", "here")
      return m
    end)
    message = tostring(caught) .. "\n" .. tostring(levels):match("^(.*)%[C%]: in function 'xpcall'")
    if ok then message = "no error" end
  end
  print(message)
end
for line in cases:gmatch("[^\n]+") do
  print(line)
  run((line:gsub(" ", "\n")))
  run((line:gsub("(%S+ %S+) ", "%1\n")))
end
